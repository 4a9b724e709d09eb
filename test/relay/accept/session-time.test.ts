/**
 * The story: a session ended after its time in the midst of whatever it did. A client that keeps one connection busy, as pools of
 * applications do, so lost the message that it was sending every hour, and few of them try a second time.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

const limits = { sessionTimeoutSeconds: 1 };

test('a message that is being sent when the time of its session is over may be finished; then the session ends', async () => {
  await using accept = await startAccept({ limits });
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send(header);
  using witness = await Dialogue.open(accept.port());
  // Opened later, so that its time is over after the first one's.
  assert.match(await witness.untilClosed(), /^421 4\.4\.2 /);
  client.send('\r\nhello\r\n.\r\n');
  assert.match(await client.untilClosed(), /^250 2\.0\.0 queued[^\r]*\r\n421 4\.4\.2 [^\r]*\r\n$/);
  assert.equal(accept.messages.length, 1);
});

test('a session that goes on to another message ends between the two', async () => {
  await using accept = await startAccept({ limits });
  using client = await Dialogue.open(accept.port());
  let transcript = '';
  const sent = `MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n`;
  client.socket.on('data', (bytes: Buffer) => {
    transcript += bytes.toString('latin1');
    if (/354 [^\r]*\r\n$/.test(transcript)) client.send(`${header}\r\nhello\r\n.\r\n`);
    else if (/queued[^\r]*\r\n$/.test(transcript)) client.send(sent);
  });
  client.send(sent);
  await client.untilClosed();
  assert.match(transcript, /queued[^\r]*\r\n421 4\.4\.2 [^\r]*\r\n$/);
  assert.ok(accept.messages.length > 1);
});
