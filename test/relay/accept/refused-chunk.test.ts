/**
 * The story: a queue that was full when the first BDAT chunk came answered 452 at once, without reading the chunk. Its octets were then
 * taken for commands: a QUIT within a message ended the session, a MAIL within it began another one. And once there was
 * room again, the second chunk alone became a message, with 250.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueueFullError } from '../../../relay/queue/queue.ts';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, RecordingSpool, startAccept } from './accept-fixture.ts';

const first = 'From: a@example.com\r\nMAIL FROM:<evil@example.com>\r\nQUIT\r\n';
const second = `${header}\r\nthe rest\r\n`;

function chunk(content: string, last: string): string {
  return `BDAT ${content.length}${last}\r\n${content}`;
}

test('a chunk that comes while the queue is full is read as content, and the chunks behind it share its fate', async () => {
  let full = true;
  await using accept = await startAccept({
    openSpool: () => {
      if (!full) return new RecordingSpool();
      full = false;
      throw new QueueFullError('full');
    },
  });
  using client = await Dialogue.open(accept.port());
  const envelope = 'MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n';
  client.send(`${envelope}${chunk(first, '')}${chunk(second, ' LAST')}RSET\r\n`);
  for (const expected of [/^250 2\.1\.0/, /^250 2\.1\.5/, /^452 4\.3\.1/, /^452 4\.3\.1/, /^250 2\.0\.0/]) {
    assert.match(await client.reply(), expected);
  }
  assert.equal(accept.messages.length, 0);
  client.send(`${envelope}${chunk(second, ' LAST')}`);
  for (const expected of [/^250 /, /^250 /, /^250 2\.0\.0 queued/]) assert.match(await client.reply(), expected);
});

test('a recipient that comes after a refused chunk does not make a message of the next one', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  client.send(`MAIL FROM:<a@example.com>\r\n${chunk(first, '')}RCPT TO:<b@example.net>\r\n${chunk(second, ' LAST')}`);
  for (const expected of [/^250 /, /^554 5\.5\.1/, /^250 /, /^554 5\.5\.1/]) {
    assert.match(await client.reply(), expected);
  }
  assert.equal(accept.messages.length, 0);
});
