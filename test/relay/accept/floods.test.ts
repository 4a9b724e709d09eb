/**
 * The story: a few hundred clients that pipelined commands without end kept everybody else waiting for a greeting, thirteen a second. The
 * system hands over one connection a round of the event loop, and each of these clients had a hundred commands a round. And each
 * temporary refusal was a line of the log, a million of them in one session.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from '../../../relay/accept/turns.ts';
import { WireStream } from '../../../relay/accept/wire-stream.ts';
import { createLog } from '../../../relay/log.ts';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { refusals, startAccept } from './accept-fixture.ts';

async function round(): Promise<void> {
  await new Promise<void>(resolve => setImmediate(resolve));
}

test('turns come in order, a bounded number a round, and all of them come', async () => {
  const turns = new Turns();
  const seen: number[] = [];
  for (let at = 0; at < 24; at++) void turns.next().then(() => seen.push(at));
  const counts: number[] = [];
  for (let rounds = 0; rounds < 4; rounds++) {
    await round();
    counts.push(seen.length);
  }
  assert.deepEqual(counts, [10, 20, 24, 24]);
  assert.deepEqual(
    seen,
    Array.from({ length: 24 }, (_, at) => at),
  );
  void turns.next().then(() => seen.push(24));
  await round();
  assert.equal(seen.at(-1), 24);
});

test('a session gives a bounded number of commands, then waits for its next turn', async () => {
  let lines = 0;
  const turn = Promise.withResolvers<void>();
  const stream = new WireStream({
    mayRead: () => true,
    acceptsBareLf: () => false,
    onLine: () => {
      lines++;
      return undefined;
    },
    onLineFault: () => assert.fail(),
    onContent: () => undefined,
    onContentEnd: () => undefined,
    onNearMiss: () => assert.fail(),
    onClientEnd: () => undefined,
    onPause: () => undefined,
    nextTurn: () => turn.promise,
  });
  stream.write('NOOP\r\n'.repeat(10));
  stream.write('NOOP\r\n'.repeat(100));
  await round();
  assert.equal(lines, 10);
  turn.resolve();
  await round();
  assert.equal(lines, 110);
});

test('refusals of one session are logged up to a number, and counted beyond it', async () => {
  const log = createLog('silent');
  let lines = 0;
  const counting = { ...log, info: () => lines++, child: () => log } as unknown as typeof log;
  await using accept = await startAccept({ log: counting, limits: { maxRecipients: 1 } });
  using client = await Dialogue.open(accept.port());
  await client.say('MAIL FROM:<a@example.com>');
  client.send(Array.from({ length: 1000 }, (_, at) => `RCPT TO:<r${at}@example.net>\r\n`).join(''));
  for (let at = 0; at < 1000; at++) await client.reply();
  assert.equal(await refusals(accept.metrics, 'TooManyRecipients'), 999);
  assert.equal(lines, 100);
});
