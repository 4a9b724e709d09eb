import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { RedisOptions } from '../../relay/redis/options.ts';
import { conformance } from '../relay/queue/conformance.ts';
import { everything, message } from '../relay/queue/messages.ts';
import { openRedis } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { type RedisWithSentinels, startSentinels } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('Behind Sentinels', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let redis: RedisWithSentinels;
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    redis = stack.use(await startSentinels(folder.path));
  });
  after(() => stack.disposeAsync());

  const options = (): RedisOptions => ({
    type: 'Sentinel',
    addresses: redis.sentinels.map(({ port }) => ({ host: '127.0.0.1', port })),
    sentinel: { masterName: redis.masterName },
    database: 0,
  });

  conformance('Redis Sentinel', () => openRedis(options()));

  it('goes on at the replica when the master dies, with all that was acknowledged', async t => {
    const harness = await openRedis(options());
    const { queue, clock } = harness;
    const kept: string[] = [];
    let stop = false;
    let [lastMs, longestMs] = [performance.now(), 0];
    async function writer(): Promise<void> {
      while (!stop) {
        const sent = message(clock);
        try {
          await queue.enqueue(sent);
          kept.push(sent.id);
          longestMs = Math.max(longestMs, performance.now() - lastMs);
          lastMs = performance.now();
        } catch (error) {
          assert.equal((error as { code?: unknown }).code, 'POSTROAD_QUEUE_UNAVAILABLE', String(error));
        }
      }
    }
    const writers = Promise.all(Array.from({ length: 10 }, writer));
    await waitUntil('mail flows', () => kept.length > 200);
    await redis.servers[0]?.kill();
    const before = kept.length;
    await waitUntil('mail flows again', () => kept.length > before + 200, { limitMs: 60_000 });
    stop = true;
    await writers;
    const found = new Set<string>();
    for (let claims = await queue.claim(everything); claims.length > 0; claims = await queue.claim(everything))
      for (const claim of claims) found.add(claim.message.id);
    const lost = kept.filter(id => !found.has(id));
    assert.deepEqual(lost, []);
    t.diagnostic(
      `${before} acknowledged before, ${kept.length - before} after; nothing for ${longestMs.toFixed(0)} ms`,
    );
    await harness.end();
  });
});
