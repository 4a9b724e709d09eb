/** The bench is only as right as what counts: the sink, against bytes cut at every place, and the arithmetic of the report. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type Sink, startSink } from './sink.ts';
import { spreadOf } from './statistics.ts';

const body = 'a\r\n..dot\r\n.\r\r\nz\r\n';
const byData = `MAIL FROM:<a@x>\r\nRCPT TO:<1r7@y>\r\nDATA\r\n${body}.\r\nMAIL FROM:<a@x>\r\nRCPT TO:<2r7@y>\r\n`;
const chunk = 'From: a\r\n.\r\n\r\n.\r\n';
const byChunk = `MAIL FROM:<a@x>\r\nRCPT TO:<3r7@y>\r\nBDAT ${chunk.length}\r\n${chunk}BDAT 0 LAST\r\nQUIT\r\n`;

/** Returns the replies. Each piece is a write of its own. */
async function talk(sink: Sink, pieces: readonly string[]): Promise<string> {
  const socket = connect({ port: sink.port, host: '127.0.0.1', noDelay: true });
  let replies = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    replies += text;
  });
  for (const piece of pieces) await new Promise(resolve => socket.write(piece, resolve));
  await once(socket, 'close');
  return replies;
}

test('messages by DATA and by BDAT are counted once, wherever the bytes are cut', async () => {
  await using sink = await startSink();
  const all = `EHLO c\r\n${byData}DATA\r\n.\r\n${byChunk}`;
  for (let at = 1; at < all.length; at++) {
    await sink.begin({ run: 7, expected: 3, deferEvery: 0, looksForSignatures: false });
    const replies = await talk(sink, [all.slice(0, at), all.slice(at)]);
    const { taken, duplicates, strays } = await sink.complete(5000);
    assert.deepEqual({ taken, duplicates, strays }, { taken: 3, duplicates: 0, strays: 0 }, `cut at ${at}`);
    assert.equal(replies.match(/^354 /gm)?.length, 2, `cut at ${at}`);
  }
});

test('what comes twice, and what is of another run, is told apart', async () => {
  await using sink = await startSink();
  await sink.begin({ run: 7, expected: 3, deferEvery: 0, looksForSignatures: false });
  const stray = byChunk.replace('3r7', '3r6');
  const closing = /QUIT\r\n/;
  await talk(sink, [byChunk.replace(closing, ''), byChunk.replace(closing, ''), stray]);
  const { taken, duplicates, strays } = await sink.counts();
  assert.deepEqual({ taken, duplicates, strays }, { taken: 1, duplicates: 1, strays: 1 });
});

test('each n-th recipient is deferred once and then taken', async () => {
  await using sink = await startSink();
  await sink.begin({ run: 7, expected: 3, deferEvery: 3, looksForSignatures: false });
  const first = await talk(sink, ['MAIL FROM:<a@x>\r\nRCPT TO:<3r7@y>\r\nDATA\r\nQUIT\r\n']);
  assert.match(first, /^450 .*\r\n554 /m);
  assert.equal((await sink.counts()).taken, 0);
  await talk(sink, [byChunk]);
  const { taken, deferred } = await sink.counts();
  assert.deepEqual({ taken, deferred }, { taken: 1, deferred: 1 });
});

test('a median is the middle, or the mean of the two in the middle', () => {
  assert.deepEqual(spreadOf([3, 1, 2]), { min: 1, median: 2, max: 3 });
  assert.deepEqual(spreadOf([4, 1, 2, 10]), { min: 1, median: 3, max: 10 });
});
