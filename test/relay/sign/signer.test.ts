import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createMetrics, type Metrics } from '../../../relay/metrics.ts';
import { createSigner, type Signer } from '../../../relay/sign/signer.ts';
import { endOfHeader } from '../../../relay/smtp/message.ts';
import {
  dkimpyMissing,
  keyRecord,
  openDkimMissing,
  type Verdicts,
  verifyWithDkimpy,
  verifyWithMailauth,
  verifyWithOpenDkim,
} from '../../support/dkim-verifiers.ts';
import { buildPolicy } from '../../support/policy-builders.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ed25519 = generateKeyPairSync('ed25519').privateKey;
const keys = new Map<string, KeyObject>([
  ['/keys/rsa', rsa],
  ['/keys/ed25519', ed25519],
]);
const dkim = [
  { selector: 'r1', algorithm: 'RSA2048', privateKeyFile: '/keys/rsa' },
  { selector: 'e1', algorithm: 'Ed25519', privateKeyFile: '/keys/ed25519' },
] as const;
const records = {
  'r1._domainkey.example.com': keyRecord(rsa),
  'e1._domainkey.example.com': keyRecord(ed25519),
};
const policy = buildPolicy({ domains: ['example.com', '*.example.com'], dkim: [...dkim] });
const both: Verdicts = { r1: true, e1: true };
const neither: Verdicts = { r1: false, e1: false };

function newSigner(metrics: Metrics = createMetrics(), dkimKeys: ReadonlyMap<string, KeyObject> = keys): Signer {
  return createSigner({ state: () => ({ secrets: { dkimKeys } }), metrics, clock: { now: () => Date.now() } });
}

const signer = newSigner();

/** The message with its signatures before it, as it goes out. */
async function signed(message: Buffer, chunkBytes = 64 * 1024): Promise<Buffer> {
  const end = endOfHeader(message);
  const header = end === -1 ? message : message.subarray(0, end);
  const hasher = signer.hashBody();
  const body = message.subarray(header.length);
  for (let at = 0; at < body.length; at += chunkBytes) hasher.update(body.subarray(at, at + chunkBytes));
  return Buffer.concat([await signer.sign({ policy, header, bodyHash: hasher.digest() }), message]);
}

const from = 'From: Bob <bob@example.com>\r\n';
const usual = `${from}To: a@b.example\r\nSubject: Hi\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n`;

/** `unread`: dkimpy takes a field name with white space for no field; OpenDKIM's test mode reads C strings by lines. */
const shapes: readonly (readonly [story: string, message: string | Buffer, unread?: 'dkimpy' | 'OpenDKIM'])[] = [
  ['a usual message', `${usual}\r\nHello\r\n`],
  ['no body', `${usual}\r\n`],
  ['blank lines only', `${usual}\r\n\r\n\r\n\r\n`],
  ['no CRLF at the end', `${usual}\r\nHello`, 'OpenDKIM'],
  ['blank lines at the end', `${usual}\r\nHello\r\n\r\n\r\n`],
  ['white space at line ends', `${usual}\r\nHello \t\r\n \r\nx  y\tz  \r\n`],
  ['folded fields', `${usual}Cc: a@b.example,\r\n\tb@b.example,\r\n   c@b.example\r\nReferences: <1@x>\r\n <2@x>\r\n\r\nx\r\n`],
  ['white space everywhere in fields', `${from}Subject:   a   b \t c  \r\nTo:a@b.example\r\nDate:  x \r\n\r\nx\r\n`],
  ['white space before a colon', `${from}Date : x\r\n\r\nx\r\n`, 'dkimpy'],
  ['an empty field', `${from}Subject:\r\nTo: \r\n\r\nx\r\n`],
  ['duplicate fields', `${from}Subject: one\r\nSubject: two\r\nX: y\r\nSubject: three\r\nTo: a@b\r\nTo: c@d\r\n\r\nx\r\n`],
  ['8-bit text', `${usual}Content-Transfer-Encoding: 8bit\r\n\r\nGrüße aus Köln\r\n`],
  ['UTF-8 fields', 'From: Jörg <jörg@example.com>\r\nSubject: Grüße \u{1F600}\r\n\r\nx\r\n'],
  ['bytes that are no UTF-8', Buffer.from(`${usual}X: \xff\r\n\r\n\xff\xfe\x00\x01 \r\n`, 'latin1'), 'OpenDKIM'],
  ['a very long line', `${usual}\r\n${'long  line '.repeat(20_000)}\r\n`],
  ['a very long field', `${usual}References: ${'<1234567890@example.com> '.repeat(400)}\r\n\r\nx\r\n`],
  ['dots at line starts', `${usual}\r\n.\r\n..\r\n.x\r\n`],
  ['another signature', `DKIM-Signature: v=1; a=rsa-sha256; d=other.example; s=x; h=from; bh=x; b=x\r\n${usual}\r\nx\r\n`],
  ['list fields', `${usual}List-Id: <l.b>\r\nList-Unsubscribe: <https://b>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nx\r\n`],
  ['a subdomain that a wildcard covers', `From: bob@news.example.com\r\nSubject: x\r\n\r\nx\r\n`],
  ['several authors', `From: bob@example.com, eve@example.com\r\nSender: bob@example.com\r\n\r\nx\r\n`],
  ['60 fields of one name', `${from}${'Subject: again\r\n'.repeat(60)}\r\nx\r\n`],
  ['fields named in capitals', 'FROM: bob@example.com\r\nSUBJECT: X\r\nMESSAGE-id: <1@x>\r\n\r\nx\r\n'],
]; // biome-ignore format: one line each

for (const [story, message] of shapes) {
  test(`both signatures of ${story} hold for mailauth`, async () => {
    const found = await verifyWithMailauth(await signed(Buffer.from(message)), records);
    assert.equal(found['r1'], true);
    assert.equal(found['e1'], true);
  });
}

test('both signatures of every shape hold for dkimpy', { skip: await dkimpyMissing() }, async () => {
  const read = shapes.filter(([, , unread]) => unread !== 'dkimpy');
  const messages = await Promise.all(read.map(async ([, message]) => await signed(Buffer.from(message))));
  const verdicts = await verifyWithDkimpy(messages, records);
  for (const [index, [story]] of read.entries()) {
    assert.equal(verdicts[index]?.['r1'], true, `RSA of ${story}`);
    assert.equal(verdicts[index]?.['e1'], true, `Ed25519 of ${story}`);
  }
});

test('both signatures of every shape hold for OpenDKIM', { skip: openDkimMissing() }, async t => {
  for (const [story, message] of shapes.filter(([, , unread]) => unread !== 'OpenDKIM')) {
    await t.test(story, async () => {
      const found = await verifyWithOpenDkim(await signed(Buffer.from(message)), records);
      assert.deepEqual([found['r1'], found['e1']], [true, true]);
    });
  }
});

const word = fc.constantFrom('a', ' ', '  ', '\t', 'ä', '.', 'From: x', '=', ';', 'lorem');
const line = fc.array(word, { maxLength: 8 }).map(words => words.join(''));
const randomMessage = fc
  .tuple(
    fc.array(fc.tuple(fc.constantFrom('Subject', 'To', 'X-Y', 'Content-Type'), fc.array(line, { maxLength: 3 })), {
      maxLength: 6,
    }),
    fc.array(line, { maxLength: 12 }),
  )
  .map(([fields, body]) => {
    const header = fields.map(([name, lines]) => `${name}: v${lines.map(text => `\r\n x${text}`).join('')}\r\n`);
    return Buffer.from(`${from}${header.join('')}\r\n${body.map(text => `${text}\r\n`).join('')}`);
  });

test('both signatures of random messages hold for mailauth, however the body is cut', async () => {
  await fc.assert(
    fc.asyncProperty(randomMessage, fc.integer({ min: 1, max: 40 }), async (message, chunkBytes) => {
      assert.deepEqual(await verifyWithMailauth(await signed(message, chunkBytes), records), both);
    }),
    { numRuns: 150 },
  );
});

test('both signatures of random messages hold for dkimpy', { skip: await dkimpyMissing() }, async t => {
  const seed = Date.now();
  t.diagnostic(`seed ${seed}`);
  const messages = fc.sample(randomMessage, { numRuns: 150, seed });
  const verdicts = await verifyWithDkimpy(
    await Promise.all(messages.map(async message => await signed(message))),
    records,
  );
  for (const [index, message] of messages.entries()) {
    assert.deepEqual(verdicts[index], both, JSON.stringify(message.toString()));
  }
});

const tampering: readonly (readonly [story: string, change: (message: string) => string])[] = [
  ['a byte of the body is changed', message => message.replace('Hello', 'Hallo')],
  ['text is added to the body', message => `${message}more\r\n`],
  ['the subject is changed', message => message.replace('Subject: Hi', 'Subject: Ho')],
  ['a second From is added', message => `From: eve@example.com\r\n${message}`],
  ['a second Subject is added', message => `Subject: other\r\n${message}`],
  ['a Reply-To is added', message => `Reply-To: eve@evil.example\r\n${message}`],
  ['a Content-Type is added', message => `Content-Type: text/html\r\n${message}`],
  ['a To is taken away', message => message.replace(/^To: .*\r\n/m, '')],
];

for (const [story, change] of tampering) {
  test(`no signature holds when ${story}`, { skip: await dkimpyMissing() }, async () => {
    const message = (await signed(Buffer.from(`${usual}\r\nHello\r\n`))).toString();
    const changed = Buffer.from(change(message));
    assert.notEqual(changed.toString(), message);
    assert.deepEqual(await verifyWithMailauth(changed, records), neither);
    assert.deepEqual(await verifyWithDkimpy([changed], records), [neither]);
  });
}

test('what is added or changed on an honest way leaves the signatures valid', async () => {
  const message = (await signed(Buffer.from(`${usual}\r\nHello\r\n`))).toString();
  const travelled = `Return-Path: <x@y>\r\nReceived: from a by b\r\nList-Id: <l.example>\r\n${message.replace('Subject: Hi', 'SUBJECT:  Hi ')}\r\n\r\n`;
  assert.deepEqual(await verifyWithMailauth(Buffer.from(travelled), records), both);
});

test('the signing domain is the one of the policy that covers the author', async () => {
  const message = (await signed(Buffer.from('From: bob@a.b.example.com\r\n\r\nx\r\n'))).toString();
  assert.match(message, /\r\n\td=example\.com;\r\n\ts=r1; t=\d+;/);
});

test('lines of a signature are at most 78 characters, and its bytes are ASCII', async () => {
  const [signature] = (await signed(Buffer.from(`${usual}\r\nHello\r\n`))).toString('latin1').split('From: ');
  for (const text of signature?.split('\r\n') ?? []) assert.match(text, /^[\t\x20-\x7e]{0,78}$/);
});

test('signatures are counted by algorithm', async () => {
  const metrics = createMetrics();
  await newSigner(metrics).sign({ policy, header: Buffer.from(from), bodyHash: '' });
  const { values } = await metrics.postroad_sign_signatures_total.get();
  assert.deepEqual(
    values.map(({ labels, value }) => [labels.algorithm, value]),
    [
      ['RSA2048', 1],
      ['Ed25519', 1],
    ],
  );
});

test('a policy without keys sends unsigned', async () => {
  const header = Buffer.from('From: x\r\n');
  assert.equal((await signer.sign({ policy: buildPolicy(), header, bodyHash: '' })).length, 0);
});

const faults: readonly (readonly [story: string, keys: ReadonlyMap<string, KeyObject>, header: string, text: RegExp])[] = [
  ['one key is not loaded', new Map([['/keys/rsa', rsa]]), from, /key e1 of DomainPolicy shop\/shop is not loaded/],
  ['a key is of the other kind', new Map([['/keys/rsa', ed25519], ['/keys/ed25519', ed25519]]), from, /r1 .* not RSA2048/],
  ['the author is not the policy’s', keys, 'From: bob@example.org\r\n', /does not cover/],
  ['there is no author', keys, 'To: bob@example.com\r\n', /does not cover/],
]; // biome-ignore format: one line each

for (const [story, loaded, header, text] of faults) {
  test(`nothing is signed, the fault is named and counted when ${story}`, async () => {
    const metrics = createMetrics();
    const signing = newSigner(metrics, loaded).sign({ policy, header: Buffer.from(header), bodyHash: '' });
    await assert.rejects(signing, (error: unknown) => {
      assert.ok(error instanceof Error && 'code' in error);
      assert.equal(error.code, 'POSTROAD_SIGNING_FAILED');
      assert.match(error.message, text);
      return true;
    });
    assert.equal((await metrics.postroad_sign_errors_total.get()).values[0]?.value, 1);
  });
}

test('signs with no key that is loaded and does not sign yet', async () => {
  const announced = buildPolicy({
    domains: ['example.com'],
    dkim: dkim.map(key => (key.selector === 'e1' ? key : { ...key, signsFor: [] })),
  });
  const header = Buffer.from(`${from}\r\n`);
  const fields = await signer.sign({ policy: announced, header, bodyHash: newSigner().hashBody().digest() });
  assert.deepEqual(fields.toString().match(/s=\w+/g), ['s=e1']);
});

test('signs with a key for the domains that it is named for, a wildcard by what follows it, and sends the rest unsigned', async () => {
  const [one, two] = dkim;
  const partly = buildPolicy({
    domains: ['example.com', '*.example.net', 'example.org'],
    dkim: [
      { ...one, signsFor: ['Example.COM', 'example.net'] },
      { ...two, signsFor: ['example.net'] },
    ],
  });
  const selectors = async (author: string): Promise<string[]> => {
    const header = Buffer.from(`From: ${author}\r\n\r\n`);
    const fields = await signer.sign({ policy: partly, header, bodyHash: newSigner().hashBody().digest() });
    return fields.toString().match(/\bs=\w+/g) ?? [];
  };
  assert.deepEqual(await selectors('a@example.com'), ['s=r1']);
  assert.deepEqual(await selectors('a@news.example.net'), ['s=r1', 's=e1']);
  assert.deepEqual(await selectors('a@example.org'), []);
});
