/** What abusers send, and the reply that each gets. After every one the relay takes an honest message. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

const smuggled = 'MAIL FROM:<evil@example.com>\r\nRCPT TO:<v@example.net>\r\nDATA\r\nFrom: evil@example.com\r\n\r\nx';

/** What stands between the honest text and the smuggled commands; each ends the connection, in DATA of either kind of listener. */
const nearMisses = [
  '\n.\n',
  '\n.\r\n',
  '\r\n.\n',
  '\r.\r',
  '\r.\r\n',
  '\r\n.\r',
  '\n.\r',
  '\r.\n',
  '\r\n.\r\r\n',
  '\r\r\n.\n',
  '\r\n\n.\n',
];

test('a line of one dot that CRLF does not set off ends the connection and no message', async t => {
  for (const lineEndings of ['Reject', 'Fix'] as const) {
    await using accept = await startAccept({ listeners: [{ lineEndings }] });
    for (const nearMiss of nearMisses) {
      await t.test(`${JSON.stringify(nearMiss)} with ${lineEndings}`, async () => {
        using client = await Dialogue.open(accept.port());
        await client.begin();
        client.send(`${header}\r\nhello${nearMiss}${smuggled}\r\n.\r\nQUIT\r\n`);
        assert.match(await client.untilClosed(), /^554 5\.6\.0 [^\r]*\r\n$/);
      });
      await t.test(`${JSON.stringify(nearMiss)} with ${lineEndings}, in segments of one octet`, async () => {
        using client = await Dialogue.open(accept.port());
        await client.begin();
        client.send(`${header}\r\nhello`);
        for (const octet of Buffer.from(`${nearMiss}MA`, 'latin1')) {
          client.send(Buffer.of(octet));
          await new Promise(resolve => setImmediate(resolve));
        }
        assert.match(await client.untilClosed(), /^554 5\.6\.0 [^\r]*\r\n$/);
      });
    }
    assert.equal(accept.messages.length, 0);
    assert.ok(accept.spools.every(spool => spool.discarded));
  }
});

test('a near miss at the very beginning of the content counts too', async t => {
  await using accept = await startAccept();
  for (const start of ['.\n', '.\r.', '.\rx']) {
    await t.test(JSON.stringify(start), async () => {
      using client = await Dialogue.open(accept.port());
      await client.begin();
      client.send(`${start}${smuggled}`);
      assert.match(await client.untilClosed(), /^554 5\.6\.0 /);
    });
  }
});

const longLine = 'x'.repeat(10 * 1024 * 1024);
const utf8Header = Buffer.concat([
  Buffer.from(`${header}Subject: `),
  Buffer.from([0xc3, 0x28, 0xff, 0xfe]),
  Buffer.from('\r\n\r\n.\r\n'),
]);

/** Content after 354, with its reply; the session goes on. */
const contents: readonly (readonly [name: string, content: string | Buffer, reply: RegExp])[] = [
  ['a bare LF in the body', `${header}\r\na\nb\r\n.\r\n`, /^554 5\.6\.0 .*bare/],
  ['a bare CR in the body', `${header}\r\na\rb\r\n.\r\n`, /^554 5\.6\.0 .*bare/],
  ['a bare LF in the header', `From: a@example.com\nX: y\r\n\r\n.\r\n`, /^554 5\.6\.0 .*bare/],
  ['LF CR instead of CR LF', `${header}\r\na\n\rb\r\n.\r\n`, /^554 5\.6\.0 .*bare/],
  ['CR CR LF', `${header}\r\na\r\r\n.\r\n`, /^554 5\.6\.0 .*bare/],
  ['CR at the end of the content', `${header}\r\na\r\r\n.\r\n`, /^554 5\.6\.0 .*bare/],
  ['NUL in the header', `From: a@example.com\0\r\n\r\n.\r\n`, /^554 5\.6\.0 .*NUL/],
  ['NUL in the body', `${header}\r\na\0b\r\n.\r\n`, /^554 5\.6\.0 .*NUL/],
  ['NUL around the dot', `${header}\r\na\r\n\0.\r\nb\r\n.\0\r\n.\r\n`, /^554 5\.6\.0 .*NUL/],
  ['a body line of 10 MiB', `${header}\r\n${longLine}\r\n.\r\n`, /^554 5\.6\.0 .*line/],
  ['a header line of 10 MiB', `${header}X: ${longLine}\r\n\r\n.\r\n`, /^55[24] 5\.(6\.0|3\.4) /],
  ['100,000 header fields', `${header}${'A: b\r\n'.repeat(100_000)}\r\n.\r\n`, /^552 5\.3\.4 .*header/],
  ['1,001 header fields', `${header}${'A: b\r\n'.repeat(998)}\r\n.\r\n`, /^552 5\.3\.4 .*header/],
  ['a header that never ends', `${header}${`X: ${'y'.repeat(70)}\r\n`.repeat(10_000)}.\r\n`, /^552 5\.3\.4 .*header/],
  ['a field folded 50,000 times', `${header}X: y\r\n${' y\r\n'.repeat(100_000)}\r\n.\r\n`, /^552 5\.3\.4 .*header/],
  ['a fold as first line', ` evil: x\r\n${header}\r\n.\r\n`, /^554 5\.6\.0 .*white space/],
  ['a tab as first octet', `\tevil: x\r\n${header}\r\n.\r\n`, /^554 5\.6\.0 .*white space/],
  ['no header at all', 'hello\r\n.\r\n', /^550 5\.6\.0 /],
  ['nothing at all', '.\r\n', /^550 5\.6\.0 /],
  ['two From fields', `${header}From: c@example.com\r\n\r\n.\r\n`, /^550 5\.6\.0 /],
  ['bytes that are no UTF-8', utf8Header, /^250 2\.0\.0 /],
  ['MIME nested 5,000 deep', `${header}\r\n${nested(5000)}.\r\n`, /^250 2\.0\.0 /],
  ['a million dots', `${header}\r\n${'..\r\n'.repeat(1_000_000)}.\r\n`, /^250 2\.0\.0 /],
];

function nested(depth: number): string {
  return Array.from(
    { length: depth },
    (_, level) => `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}\r\n`,
  ).join('');
}

test('hostile content gets its reply, and the session goes on', async t => {
  await using accept = await startAccept();
  for (const [name, content, expected] of contents) {
    await t.test(name, async () => {
      using client = await Dialogue.open(accept.port());
      await client.begin();
      client.send(content);
      assert.match(await client.reply(), expected);
      await client.begin();
      client.send(`${header}\r\nhonest\r\n.\r\n`);
      assert.match(await client.reply(), /^250 2\.0\.0 queued/);
    });
  }
  const [dots] = accept.messages.filter(({ content }) => content.sizeBytes > 2_000_000);
  assert.ok(dots?.content.bytes?.equals(Buffer.from(`${header}\r\n${'.\r\n'.repeat(1_000_000)}`)));
});

test('dots removed by the million do not become pieces by the million', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send(`${header}\r\n${'..\r\n'.repeat(250_000)}.\r\n`);
  assert.match(await client.reply(), /^250 /);
  const chunks = accept.spools[0]?.chunks.length ?? 0;
  assert.ok(chunks > 0 && chunks < 1000, `${chunks} chunks`);
});

/** Lines of a session after EHLO, in one segment, and all that comes back; `$` where the connection is closed. */
const sessions: readonly (readonly [name: string, lines: string | Buffer, replies: RegExp])[] = [
  ['a command ended by a bare LF', 'NOOP\nNOOP\r\n', /^500 5\.5\.2 [^\r]*\r\n$/],
  ['a command with a bare CR', 'NOOP\rMAIL FROM:<a@example.com>\r\nNOOP\r\n', /^500 5\.5\.2 [^\r]*\r\n$/],
  ['a NUL in a command', 'MAIL FROM:<a@example.com\0>\r\nQUIT\r\n', /^501 5\.5\.2 [^\r]*\r\n221 /],
  [
    'a command that is no UTF-8',
    Buffer.from('MAIL FROM:<\xff@example.com> SMTPUTF8\r\nQUIT\r\n', 'latin1'),
    /^501 5\.5\.2 [^\r]*\r\n221 /,
  ],
  ['a command line of 10 MiB', `${longLine}\r\nNOOP\r\nQUIT\r\n`, /^500 5\.5\.2 [^\r]*\r\n250 [^\r]*\r\n221 /],
  ['a BDAT without a size', 'BDAT LAST\r\nNOOP\r\n', /^501 5\.5\.4 [^\r]*\r\n$/],
  ['a BDAT with a negative size', 'BDAT -1 LAST\r\nNOOP\r\n', /^501 5\.5\.4 [^\r]*\r\n$/],
  ['a BDAT of exabytes', 'BDAT 999999999999999 LAST\r\nNOOP\r\n', /^552 5\.3\.4 [^\r]*\r\n$/],
  ['a BDAT that hides commands', 'BDAT 10 LAST\r\nRSET\r\nRSETQUIT\r\n', /^503 5\.5\.1 [^\r]*\r\n221 /],
  ['a web browser', 'POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@example.com>\r\n', /^421 4\.7\.0 [^\r]*\r\n$/],
];

test('hostile commands get their reply', async t => {
  await using accept = await startAccept();
  for (const [name, lines, expected] of sessions) {
    await t.test(name, async () => {
      using client = await Dialogue.open(accept.port());
      client.send(lines);
      assert.match(await client.untilClosed(), expected);
    });
  }
});

test('100,000 recipients get 250 up to the limit and 452 beyond it, and the message goes to the first', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.say('MAIL FROM:<a@example.com>');
  const total = 100_000;
  client.send(Array.from({ length: total }, (_, index) => `RCPT TO:<r${index}@example.net>\r\n`).join(''));
  const counts = new Map<string, number>();
  for (let index = 0; index < total; index++) {
    const code = (await client.reply()).slice(0, 9);
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  assert.deepEqual(
    [...counts],
    [
      ['250 2.1.5', 1000],
      ['452 4.5.3', 99_000],
    ],
  );
  await client.say('DATA');
  client.send(`${header}\r\n.\r\n`);
  assert.match(await client.reply(), /^250 /);
  assert.equal(accept.messages[0]?.recipients.length, 1000);
});

test('a client that talks before the greeting is turned away', async t => {
  await using accept = await startAccept({
    listeners: [{}, { name: 'proxied', proxyProtocolFrom: ['127.0.0.1'] }],
    trustedNetworks: ['192.0.2.0/24'],
  });
  await t.test('as soon as it is connected', async () => {
    using client = await Dialogue.connect(accept.port());
    client.send('EHLO early\r\n');
    assert.match(await client.untilClosed(), /^554 5\.5\.1 [^\r]*\r\n$/);
  });
  await t.test('with less than a line', async () => {
    using client = await Dialogue.connect(accept.port());
    client.send('E');
    assert.match(await client.untilClosed(), /^554 5\.5\.1 [^\r]*\r\n$/);
  });
  await t.test('right behind its PROXY header', async () => {
    using client = await Dialogue.connect(accept.port('proxied'));
    client.send('PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\nEHLO early\r\n');
    assert.match(await client.untilClosed(), /^554 5\.5\.1 [^\r]*\r\n$/);
  });
});
