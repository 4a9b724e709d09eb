import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { buildDsn } from '../../../relay/bounce/bounce.ts';
import { createMetrics } from '../../../relay/metrics.ts';
import type { NewMessage } from '../../../relay/queue/queue.ts';
import { createSigner, type Signer } from '../../../relay/sign/signer.ts';
import { parsePath } from '../../../relay/smtp/path.ts';
import { reply } from '../../../relay/smtp/reply.ts';
import { keyRecord, verifyWithMailauth } from '../../support/dkim-verifiers.ts';
import { assertGolden } from '../../support/golden.ts';
import { buildConfig, buildPolicyInput } from '../../support/policy-builders.ts';
import { buildClaim, buildEvent, buildSender, nowMs, original } from './builders.ts';

const key = generateKeyPairSync('ed25519').privateKey;
const dkim = [{ selector: 'e1', algorithm: 'Ed25519', privateKeyFile: '/key' }] as const;

function newSigner(dkimKeys: ReadonlyMap<string, KeyObject>): Signer {
  return createSigner({ state: () => ({ secrets: { dkimKeys } }), metrics: createMetrics() });
}

const base = {
  claim: buildClaim(),
  recipients: [buildEvent()],
  config: buildConfig(),
  newId: () => '0002dsn',
  nowMs,
  signer: newSigner(new Map()),
};
type Input = Parameters<typeof buildDsn>[0];

async function dsnOf(changes: Partial<Input> = {}): Promise<NewMessage> {
  const dsn = await buildDsn({ ...base, ...changes });
  assert.ok(dsn !== undefined);
  return dsn;
}

async function textOf(changes: Partial<Input> = {}): Promise<string> {
  return (await dsnOf(changes)).content.bytes?.toString() ?? assert.fail('not in memory');
}

const noSuchUser = reply(550, '5.1.1', 'no such user here');

const golden: readonly (readonly [file: string, changes: Partial<Input>])[] = [
  [
    'failed',
    {
      claim: buildClaim({ sender: buildSender({ envid: 'order-1' }) }),
      recipients: [
        buildEvent({
          reply: noSuchUser,
          remoteMta: 'mx1.example.net',
          recipient: { orcpt: 'rfc822;Bob+2Bx@example.net' },
        }),
        buildEvent({ reason: 'NullMx', reply: reply(556, '5.1.10', 'the domain accepts no mail') }),
        buildEvent({ reason: 'Expired', reply: reply(452, '4.2.2', 'mailbox\nfull'), remoteMta: 'mx2.example.net' }),
        buildEvent({ reason: 'Expired' }),
      ],
    },
  ],
  [
    'failed-with-message',
    { claim: buildClaim({ sender: buildSender({ ret: 'FULL' }) }), recipients: [buildEvent({ reply: noSuchUser })] },
  ],
  [
    'delayed',
    {
      recipients: [
        buildEvent({
          action: 'delayed',
          reason: 'ConnectFailed',
          reply: reply(421, '4.4.1', 'connection timed out'),
          remoteMta: 'mx1.example.net',
          willRetryUntilMs: nowMs + 432_000_000,
        }),
      ],
    },
  ],
  [
    'relayed',
    {
      recipients: [
        buildEvent({
          action: 'relayed',
          reason: 'Delivered',
          reply: reply(250, '2.0.0', 'ok'),
          recipient: { notify: ['Success'] },
        }),
      ],
    },
  ],
  [
    'utf8',
    {
      claim: buildClaim(
        {
          sender: buildSender({
            reversePath: parsePath('jörg@dömäin.example', { smtputf8: true }) ?? null,
            smtputf8: true,
          }),
        },
        original.replace('App', 'Jörg'),
      ),
      recipients: [
        buildEvent({
          reply: reply(550, '5.1.1', 'unbekannter Empfänger'),
          remoteMta: 'mx1.example.net',
          recipient: { forwardPath: 'größe@example.net' },
        }),
      ],
    },
  ],
];

for (const [file, changes] of golden) {
  test(`the DSN "${file}" is as the golden file shows it`, async () => {
    const { content } = await dsnOf(changes);
    await assertGolden(`dsn/${file}.eml`, content.bytes ?? Buffer.alloc(0));
  });
}

test('a DSN is a message from nobody, of the same tenant, by the route of the relay, that nobody is told of', async () => {
  const policies = [
    buildPolicyInput({
      bouncesTo: 'bounces@elsewhere.example',
      route: { type: 'SmartHost', smartHost: { host: 'x.example', port: 25, tls: 'Verified' } },
    }),
  ];
  const { head, content, ...rest } = await dsnOf({ config: buildConfig({ policies }) });
  assert.equal(head.length, 0);
  assert.equal(content.sizeBytes, content.bytes?.length);
  const chunks: Buffer[] = [];
  for await (const chunk of content.read()) chunks.push(chunk);
  assert.deepEqual(Buffer.concat(chunks), content.bytes);
  assert.deepEqual(rest, {
    id: '0002dsn',
    sender: { reversePath: null, body: '7BIT', smtputf8: false, requireTls: false },
    tenant: 'shop',
    policy: 'shop/shop',
    receivedTimeMs: nowMs,
    expiryTimeMs: nowMs + 432_000_000,
    recipients: [
      {
        forwardPath: 'bounces@elsewhere.example',
        domain: 'elsewhere.example',
        destination: 'direct/elsewhere.example',
        notify: ['Never'],
      },
    ],
  });
});

test('a DSN wants the TLS of what it is about: what the policy demanded then, and what it says by now', async () => {
  const { policy, tls } = await dsnOf({ claim: buildClaim({ tls: 'Verified' }) });
  assert.deepEqual({ policy, tls }, { policy: 'shop/shop', tls: 'Verified' });
});

test('there is no DSN about a DSN, and none that nobody asked for', async () => {
  const { sender } = await dsnOf();
  assert.equal(await buildDsn({ ...base, claim: buildClaim({ sender, policy: null }) }), undefined);
  assert.equal(await buildDsn({ ...base, recipients: [buildEvent({ recipient: { notify: ['Never'] } })] }), undefined);
  assert.equal(await buildDsn({ ...base, recipients: [] }), undefined);
});

test('one DSN tells of all recipients that want it, and its subject tells the gravest', async () => {
  const text = await textOf({
    recipients: [
      buildEvent({ action: 'relayed', recipient: { forwardPath: 'a@example.net', notify: ['Success'] } }),
      buildEvent({ action: 'delayed', recipient: { forwardPath: 'b@example.net' } }),
      buildEvent({ action: 'failed', recipient: { forwardPath: 'c@example.net', notify: ['Never'] } }),
    ],
  });
  assert.match(text, /^Subject: Delayed mail/m);
  assert.deepEqual(
    [...text.matchAll(/^Final-Recipient: rfc822; (.*)\r\nAction: (.*)\r$/gm)].map(([, who, what]) => [who, what]),
    [
      ['a@example.net', 'relayed'],
      ['b@example.net', 'delayed'],
    ],
  );
});

test('a thousand recipients are all in the report, and the first fifty in the text', async () => {
  const recipients = Array.from({ length: 1000 }, (_, index) =>
    buildEvent({ recipient: { forwardPath: `user${index}@example.net`, index } }),
  );
  const text = await textOf({ recipients });
  assert.equal(text.match(/^Final-Recipient:/gm)?.length, 1000);
  assert.equal(text.match(/^ {2}<user\d+@/gm)?.length, 50);
  assert.match(text, /and 950 more/);
});

const large = `${original}${'x'.repeat(76)}\r\n`.padEnd(70_000, `${'y'.repeat(76)}\r\n`);

const utf8 = original.replace('App', 'Jörg');
const eightBit = Buffer.from(original.replace('App', 'J\xf6rg'), 'latin1');
const longLine = 'x'.repeat(999);

const returned: readonly (readonly [
  story: string,
  part: string,
  ret: 'FULL' | 'HDRS' | undefined,
  content: string | Buffer,
])[] = [
  ['its header without RET', 'text/rfc822-headers 7bit', undefined, original],
  ['its header with RET=HDRS', 'text/rfc822-headers 7bit', 'HDRS', original],
  ['all of it with RET=FULL', 'message/rfc822 7bit', 'FULL', original],
  ['all of it with 8-bit text', 'message/rfc822 8bit', 'FULL', `${original}Grüße\r\n`],
  ['all of it, as global, when its header is UTF-8', 'message/global 8bit', 'FULL', utf8],
  ['its header, as global, when that is UTF-8', 'message/global-headers 8bit', 'HDRS', utf8],
  ['its header when all of it is too large', 'text/rfc822-headers 7bit', 'FULL', large],
  ['its header when the body has NULs', 'text/rfc822-headers 7bit', 'FULL', `${original}\0`],
  ['its header when the body has bare LFs', 'text/rfc822-headers 7bit', 'FULL', `${original}a\nb\r\n`],
  ['its header when the body has bare CRs', 'text/rfc822-headers 7bit', 'FULL', `${original}a\rb\r\n`],
  ['its header when the body has lines over 998', 'text/rfc822-headers 7bit', 'FULL', `${original}${longLine}\r\n`],
  ['its header, encoded, when that is no text', 'text/rfc822-headers quoted-printable', 'FULL', eightBit],
  [
    'its header, encoded, when a line of it is too long',
    'text/rfc822-headers quoted-printable',
    'FULL',
    `X: ${longLine}\r\n${original}`,
  ],
];

for (const [story, part, ret, content] of returned) {
  test(`what comes back of the original is ${story}`, async () => {
    const sender = buildSender(ret === undefined ? {} : { ret });
    const text = await textOf({ claim: buildClaim({ sender }, content) });
    const parts = text.split('\r\n--=_postroad_0002dsn_0');
    assert.equal(parts.length, 5);
    const [, type, encoding] =
      /^\r\nContent-Type: (\S+)\r\nContent-Transfer-Encoding: (\S+)\r\n\r\n/.exec(parts[3] ?? '') ?? [];
    assert.equal(`${type} ${encoding}`, part);
    assert.equal(parts[3]?.includes('Thank you.'), !part.includes('headers'));
    assert.ok(Buffer.byteLength(text) < 80_000);
  });
}

test('a header that alone is too large comes back in part, with whole fields', async () => {
  const header = `From: a@b.example\r\n${`X-Filler: ${'x'.repeat(500)}\r\n`.repeat(300)}\r\n`;
  const text = await textOf({ claim: buildClaim({}, header) });
  const fields = text.match(/^X-Filler: .*\r$/gm) ?? [];
  assert.ok(fields.length > 100 && fields.length < 130, `${fields.length}`);
  for (const field of fields) assert.equal(field.length, 511);
});

test('only a failure brings the whole message back (RFC 3461 s4.3)', async () => {
  const text = await textOf({
    claim: buildClaim({ sender: buildSender({ ret: 'FULL' }) }),
    recipients: [buildEvent({ action: 'delayed' })],
  });
  assert.match(text, /text\/rfc822-headers/);
});

test('a message with REQUIRETLS is told of with REQUIRETLS, and its body does not come back (RFC 8689 s5)', async () => {
  const claim = buildClaim({ sender: buildSender({ ret: 'FULL', requireTls: true }) });
  const dsn = await dsnOf({ claim });
  assert.equal(dsn.sender.requireTls, true);
  assert.doesNotMatch(dsn.content.bytes?.toString() ?? '', /Thank you/);
});

test('a UTF-8 reverse-path makes the DSN need SMTPUTF8', async () => {
  const reversePath = parsePath('jörg@dömäin.example', { smtputf8: true }) ?? null;
  const dsn = await dsnOf({ claim: buildClaim({ sender: buildSender({ reversePath, smtputf8: true }) }) });
  assert.deepEqual([dsn.sender.smtputf8, dsn.sender.body], [true, '8BITMIME']);
  assert.equal(dsn.recipients[0]?.destination, 'direct/xn--dmin-moa0i.example');
});

test('an original that holds our boundary does not break the DSN', async () => {
  const hostile = `${original}--=_postroad_0002dsn_0\r\n--=_postroad_0002dsn_1--\r\n`;
  const text = await textOf({ claim: buildClaim({ sender: buildSender({ ret: 'FULL' }) }, hostile) });
  assert.match(text, /boundary="=_postroad_0002dsn_2"/);
});

test('a DSN is signed when a policy with keys covers the name of the relay', async () => {
  const policies = [
    buildPolicyInput({ name: 'far', domains: ['*.com'], dkim: [] }),
    buildPolicyInput({ name: 'near', domains: ['*.example.com'], dkim: [...dkim] }),
  ];
  const config = buildConfig({ policies });
  const { head, content } = await dsnOf({ config, signer: newSigner(new Map([['/key', key]])) });
  const message = Buffer.concat([head, content.bytes ?? Buffer.alloc(0)]);
  assert.deepEqual(await verifyWithMailauth(message, { 'e1._domainkey.example.com': keyRecord(key) }), { e1: true });
});

test('a key that is missing does not keep the sender from being told', async () => {
  const config = buildConfig({ policies: [buildPolicyInput({ domains: ['mail.example.com'], dkim: [...dkim] })] });
  assert.equal((await dsnOf({ config })).head.length, 0);
});

test('a fault that is not the key’s comes through', async () => {
  const config = buildConfig({ policies: [buildPolicyInput({ domains: ['mail.example.com'], dkim: [...dkim] })] });
  const signer = { ...base.signer, sign: () => Promise.reject(new Error('out of memory')) };
  await assert.rejects(buildDsn({ ...base, config, signer }), /out of memory/);
});
