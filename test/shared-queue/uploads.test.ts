/** Contents that come to Redis in pieces, before their message: what is acknowledged is there whole. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Content } from '../../relay/queue/queue.ts';
import { everything, message, only, readAll } from '../relay/queue/messages.ts';
import { openRedis, single } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { type RedisPeer, startRedis } from '../support/redis.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const pieceBytes = 256 * 1024;

/** Nothing that compressing makes smaller. */
function bytesOf(piece: number): Buffer {
  const random = seededRandom(piece);
  return Buffer.from(Uint8Array.from({ length: pieceBytes }, () => Math.floor(random() * 256)));
}

/** Of pieces that differ; `meanwhile` runs before the last. */
function largeContent(pieces: number, meanwhile: () => Promise<void> = () => Promise.resolve()): Content {
  return {
    sizeBytes: pieces * pieceBytes,
    bytes: undefined,
    async *read() {
      for (let piece = 1; piece <= pieces; piece += 1) {
        if (piece === pieces) await meanwhile();
        yield bytesOf(piece);
      }
    },
  };
}

describe('A content in pieces', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let redis: RedisPeer;
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    redis = stack.use(await startRedis(folder.path));
  });
  after(() => stack.disposeAsync());

  it('is not acknowledged when the server lost some of them before the message came, as a replica that takes over may', async t => {
    const { queue, clock, keyPrefix, end } = await openRedis(single(redis.port));
    t.after(end);
    let lost = 0;
    const content = largeContent(3, async () => {
      for (const key of (await redis.ask('KEYS', `${keyPrefix}*:u:*`)).split('\n')) {
        lost += Number(await redis.ask('HLEN', key));
        await redis.ask('DEL', key);
      }
    });
    await assert.rejects(queue.enqueue(message(clock, { content })), { code: 'POSTROAD_QUEUE_UNAVAILABLE' });
    assert.equal(lost, 2);
    assert.equal(await queue.count({}), 0);

    const whole = largeContent(3);
    await queue.enqueue(message(clock, { content: whole }));
    const claim = only(await queue.claim(everything));
    assert.deepEqual(await readAll(claim.content), await readAll(whole));
  });

  it('that does not fit makes room again at once: what is small is still taken', async t => {
    const { queue, clock, keyPrefix, end } = await openRedis(single(redis.port));
    t.after(end);
    await queue.probe();
    const used = Number(/^used_memory:(\d+)/m.exec(await redis.ask('INFO', 'memory'))?.[1]);
    await redis.ask('CONFIG', 'SET', 'maxmemory', String(used + 8 * 2 ** 20));
    t.after(() => redis.ask('CONFIG', 'SET', 'maxmemory', '0'));
    await assert.rejects(queue.enqueue(message(clock, { content: largeContent(64) })), { code: 'POSTROAD_QUEUE_FULL' });
    assert.equal(await redis.ask('KEYS', `${keyPrefix}*:u:*`), '');
    await queue.enqueue(message(clock));
  });
});
