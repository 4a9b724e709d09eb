/** DATA and BDAT: framing, dots, line ends, sizes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

test('a dialogue means the same wherever TCP cuts it', async t => {
  await using accept = await startAccept();
  const content = `${header}\r\n..\r\n...\r\n..x\r\nx.\r\n\r\n`;
  const dialogue = Buffer.from(
    `MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n${content}.\r\nNOOP\r\n`,
  );
  const start = dialogue.indexOf('DATA\r\n');
  using client = await Dialogue.open(accept.port());
  for (let cut = start; cut <= dialogue.length; cut++) {
    await t.test(`cut before octet ${cut}`, async () => {
      client.send(dialogue.subarray(0, cut));
      if (cut >= start + 6) for (let count = 0; count < 3; count++) await client.reply();
      // A reply to what came first shows that it was read by itself.
      else await client.reply();
      client.send(dialogue.subarray(cut));
      let last = await client.reply();
      while (!last.includes('queued')) last = await client.reply();
      assert.equal(await client.reply(), '250 2.0.0 OK');
      assert.equal(accept.messages.at(-1)?.content.bytes?.toString(), `${header}\r\n.\r\n..\r\n.x\r\nx.\r\n\r\n`);
    });
  }
});

test('a dialogue sent octet by octet means the same', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.begin();
  for (const octet of Buffer.from(`${header}\r\n..a\r\n.\r\n`)) {
    client.send(Buffer.of(octet));
    await new Promise(resolve => setImmediate(resolve));
  }
  assert.match(await client.reply(), /^250 /);
  assert.equal(accept.messages[0]?.content.bytes?.toString(), `${header}\r\n.a\r\n`);
  // Octets that come alone do not become chunks of their own.
  assert.equal(accept.spools[0]?.chunks.length, 1);
});

test('a large message arrives whole', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  const line = `${'0123456789'.repeat(7)}\r\n`;
  const body = `${line.repeat(20_000)}..end\r\n`;
  await client.begin();
  client.send(`${header}\r\n${body}.\r\n`);
  assert.match(await client.reply(), /^250 /);
  assert.ok(accept.messages[0]?.content.bytes?.equals(Buffer.from(`${header}\r\n${body.replace('..end', '.end')}`)));
});

test('BDAT takes chunks, with dots as they are, and mixes with nothing', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.say('MAIL FROM:<a@example.com>');
  await client.say('RCPT TO:<b@example.net>');
  const first = `${header}\r\n.\r\n..a\r`;
  client.send(`BDAT ${first.length}\r\n${first}`);
  assert.equal(await client.reply(), `250 2.0.0 ${first.length} octets received`);
  assert.match(await client.say('DATA'), /^503 5\.5\.1 /);
  assert.match(await client.say('RCPT TO:<c@example.net>'), /^503 5\.5\.1 /);
  client.send('BDAT 8 LAST\r\n\nno end.BDAT 5 LAST\r\nxxxxxNOOP\r\n');
  assert.match(await client.reply(), /^250 2\.0\.0 queued/);
  assert.match(await client.reply(), /^503 5\.5\.1 /);
  assert.match(await client.reply(), /^250 2\.0\.0 OK/);
  // Deviation noted in the code: what does not end in a line end is given one.
  assert.equal(accept.messages[0]?.content.bytes?.toString(), `${header}\r\n.\r\n..a\r\nno end.\r\n`);
  assert.equal(accept.messages[0]?.recipients.length, 1);
});

test('a BDAT dialogue means the same wherever TCP cuts it', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  const content = `${header}\r\nhi\r\n`;
  const dialogue = Buffer.from(
    `BDAT 10\r\n${content.slice(0, 10)}BDAT 0\r\nBDAT ${content.length - 10} LAST\r\n${content.slice(10)}`,
  );
  for (let cut = 1; cut < dialogue.length; cut++) {
    await client.say('MAIL FROM:<a@example.com>');
    await client.say('RCPT TO:<b@example.net>');
    client.send(dialogue.subarray(0, cut));
    await new Promise(resolve => setImmediate(resolve));
    client.send(dialogue.subarray(cut));
    assert.match(await client.reply(), /^250 2\.0\.0 10 /);
    assert.match(await client.reply(), /^250 2\.0\.0 0 /);
    assert.match(await client.reply(), /queued/);
    assert.equal(accept.messages.at(-1)?.content.bytes?.toString(), content);
  }
});

test('BDAT 0 LAST ends a message', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.say('MAIL FROM:<a@example.com>');
  await client.say('RCPT TO:<b@example.net>');
  client.send(`BDAT ${header.length}\r\n${header}`);
  await client.reply();
  assert.match(await client.say('BDAT 0 LAST'), /queued/);
  assert.equal(accept.messages[0]?.content.bytes?.toString(), header);
});

test('octets over the size limit are dropped as they come, and the session goes on', async t => {
  await using accept = await startAccept({ limits: { maxMessageSizeBytes: 2000 } });
  using client = await Dialogue.open(accept.port());
  const content = `${header}\r\n${'x'.repeat(98)}\r\n`;
  const filler = `${'y'.repeat(98)}\r\n`;
  await t.test('DATA of exactly the limit', async () => {
    await client.begin();
    client.send(`${content}${'z'.repeat(2000 - content.length - 2)}\r\n.\r\n`);
    assert.match(await client.reply(), /^250 /);
  });
  await t.test('DATA of one more', async () => {
    await client.begin();
    client.send(`${content}${'z'.repeat(2001 - content.length - 2)}\r\n.\r\n`);
    assert.match(await client.reply(), /^552 5\.3\.4 /);
  });
  await t.test('DATA far above, whose spool is given back before its end', async () => {
    await client.begin();
    client.send(content + filler.repeat(100));
    client.send(`${filler.repeat(10_000)}.\r\n`);
    assert.match(await client.reply(), /^552 5\.3\.4 /);
    assert.equal(accept.spools.at(-1)?.discarded, true);
  });
  await t.test('BDAT chunks that are too much together, each answered', async () => {
    await client.say('MAIL FROM:<a@example.com> SIZE=10');
    await client.say('RCPT TO:<b@example.net>');
    client.send(
      `BDAT 1500\r\n${'x'.repeat(1500)}BDAT 1500\r\n${'x'.repeat(1500)}BDAT 10\r\n${'x'.repeat(10)}BDAT 2 LAST\r\n\r\n`,
    );
    const codes: string[] = [];
    for (let count = 0; count < 4; count++) codes.push((await client.reply()).slice(0, 9));
    assert.deepEqual(codes, ['250 2.0.0', '552 5.3.4', '552 5.3.4', '552 5.3.4']);
    assert.match(await client.say('MAIL FROM:<a@example.com>'), /^250 /);
    await client.say('RSET');
  });
  assert.equal(accept.messages.length, 1);
});

test('lineEndings Fix makes CRLF of bare CR and bare LF, however they are cut', async t => {
  await using accept = await startAccept({ listeners: [{ lineEndings: 'Fix' }] });
  using client = await Dialogue.open(accept.port());
  const sent = `${header}\r\na\nb\rc\r\nd\r\r\ne\n\nf.\n`;
  const fixed = `${header}\r\na\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\nf.\r\n`;
  await t.test('in DATA', async () => {
    for (let cut = header.length; cut <= sent.length; cut++) {
      await client.begin();
      client.send(sent.slice(0, cut));
      await new Promise(resolve => setImmediate(resolve));
      client.send(`${sent.slice(cut)}\r\n.\r\n`);
      assert.match(await client.reply(), /^250 /);
      assert.equal(accept.messages.at(-1)?.content.bytes?.toString(), `${fixed}\r\n`);
    }
  });
  await t.test('in BDAT', async () => {
    for (let cut = 0; cut <= sent.length; cut++) {
      await client.say('MAIL FROM:<a@example.com>');
      await client.say('RCPT TO:<b@example.net>');
      client.send(`BDAT ${cut}\r\n${sent.slice(0, cut)}BDAT ${sent.length - cut} LAST\r\n${sent.slice(cut)}`);
      await client.reply();
      assert.match(await client.reply(), /queued/);
      assert.equal(accept.messages.at(-1)?.content.bytes?.toString(), fixed);
    }
  });
  await t.test('in commands, where a bare LF ends the line', async () => {
    client.send('NOOP\nNOOP\r\n');
    assert.match(await client.reply(), /^250 /);
    assert.match(await client.reply(), /^250 /);
  });
});

test('8-bit content is marked so, whatever MAIL said', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send(`${header}\r\nG\u00fc\u00dfe\r\n.\r\n`);
  await client.reply();
  await client.begin();
  client.send(`${header}\r\nplain\r\n.\r\n`);
  await client.reply();
  assert.deepEqual(
    accept.messages.map(({ sender }) => sender.body),
    ['8BITMIME', '7BIT'],
  );
});
