/** Servers that say that they append to a file and sync it always, and for a time do not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Queue } from '../../relay/queue/queue.ts';
import { message } from '../relay/queue/messages.ts';
import { openRedis, single } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { durable, startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

async function codeOf(asked: Promise<unknown>): Promise<unknown> {
  try {
    await asked;
    return 'done';
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

const isUnsafe = async (queue: Queue): Promise<boolean> => (await codeOf(queue.probe())) === 'POSTROAD_QUEUE_UNSAFE';

describe('A queue in Redis', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  it('acknowledges nothing at a server whose append-only file was turned on and has not all of it yet', async t => {
    await using folder = await temporaryFolder();
    // A second or so for the first file.
    const slow = { ...durable, appendonly: 'no', 'rdb-key-save-delay': '1000' };
    await using redis = await startRedis(folder.path, { settings: slow });
    await redis.ask('EVAL', "for n = 1, 2000 do redis.call('SET', 'other:' .. n, n) end", '0');
    const { queue, clock, reopen, end } = await openRedis(single(redis.port), { lookMs: 50 });
    t.after(end);
    assert.equal(await codeOf(queue.enqueue(message(clock))), 'POSTROAD_QUEUE_UNSAFE');
    assert.equal(await redis.ask('CONFIG', 'SET', 'appendonly', 'yes'), 'OK');
    await redis.ask('CONFIG', 'REWRITE');
    await waitUntil('mail is taken', async () => (await codeOf(queue.enqueue(message(clock)))) === 'done', {
      limitMs: 60_000,
    });
    await redis.kill();
    await redis.start();
    const later = await reopen();
    t.after(later.end);
    assert.equal((await later.queue.stats()).totals.accepted, 1);
  });

  it('acknowledges nothing at a server that does not sync while it rewrites its file, and cannot say when it did', async t => {
    await using folder = await temporaryFolder();
    await using redis = await startRedis(folder.path);
    const { queue, clock, end } = await openRedis(single(redis.port), { lookMs: 50 });
    t.after(end);
    await queue.enqueue(message(clock));
    await redis.ask('CONFIG', 'SET', 'no-appendfsync-on-rewrite', 'yes');
    await waitUntil('it is noticed', () => isUnsafe(queue));
    await assert.rejects(queue.enqueue(message(clock)), /no-appendfsync-on-rewrite/);
    await redis.ask('CONFIG', 'SET', 'no-appendfsync-on-rewrite', 'no');
    await waitUntil('it is mended', async () => !(await isUnsafe(queue)));
    await queue.enqueue(message(clock));
  });
});
