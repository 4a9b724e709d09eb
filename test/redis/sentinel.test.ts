import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisOptions } from '../../relay/redis/options.ts';
import { conformance } from '../relay/queue/conformance.ts';
import { everything, message } from '../relay/queue/messages.ts';
import { openRedis, type RedisHarness } from '../relay/queue/redis-harness.ts';
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

  /** Until it is called: then what was acknowledged and is not there, and how long nothing was. */
  function writing({ queue, clock }: RedisHarness, { writers: many, pauseMs }: Writers): Writing {
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
          if (pauseMs > 0) await delay(pauseMs);
        } catch (error) {
          const { code } = error as { code?: unknown };
          assert.ok(code === 'POSTROAD_QUEUE_UNAVAILABLE' || code === 'POSTROAD_QUEUE_UNSAFE', String(error));
          await delay(20);
        }
      }
    }
    const writers = Promise.all(Array.from({ length: many }, writer));
    return {
      kept,
      longestMs: () => longestMs,
      async lost() {
        stop = true;
        await writers;
        const found = new Set<string>();
        for (let claims = await queue.claim(everything); claims.length > 0; claims = await queue.claim(everything))
          for (const claim of claims) found.add(claim.message.id);
        return kept.filter(id => !found.has(id));
      },
    };
  }

  it('loses nothing when a replica takes over from a master that lives on', async t => {
    // Looks often and writes little, so that a look falls between two writes, after the old master has lost its replica and before we hear of it.
    const harness = await openRedis(options(), { lookMs: 20 });
    t.after(() => harness.end());
    const { kept, lost, longestMs } = writing(harness, { writers: 1, pauseMs: 10 });
    for (let round = 0; round < 3; round += 1) {
      await waitUntil('there is a replica', async () => (await roles()).includes('slave'), { limitMs: 60_000 });
      const before = kept.length;
      await waitUntil('mail flows', () => kept.length > before + 50, { limitMs: 60_000 });
      const taken = redis.takeovers.length;
      await waitUntil('a Sentinel begins', async () => (await failover()) === 'OK', { limitMs: 60_000, everyMs: 200 });
      await waitUntil('another has taken over', () => redis.takeovers.length > taken, { limitMs: 60_000 });
      const then = kept.length;
      await waitUntil('mail flows again', () => kept.length > then + 50, { limitMs: 60_000 });
    }
    assert.deepEqual(await lost(), []);
    t.diagnostic(`${kept.length} acknowledged; nothing for ${longestMs().toFixed(0)} ms`);
  });

  it('goes on at the replica when the master dies, with all that was acknowledged', async t => {
    const harness = await openRedis(options());
    t.after(() => harness.end());
    await waitUntil('there is a replica', async () => (await roles()).includes('slave'), { limitMs: 60_000 });
    const { kept, lost, longestMs } = writing(harness, { writers: 10, pauseMs: 0 });
    await waitUntil('mail flows', () => kept.length > 200);
    const master = (await roles()).indexOf('master');
    await redis.servers[master]?.kill();
    const before = kept.length;
    await waitUntil('mail flows again', () => kept.length > before + 200, { limitMs: 60_000 });
    assert.deepEqual(await lost(), []);
    t.diagnostic(
      `${before} acknowledged before, ${kept.length - before} after; nothing for ${longestMs().toFixed(0)} ms`,
    );
  });

  const failover = (): Promise<string> | undefined => redis.sentinels[0]?.ask('SENTINEL', 'FAILOVER', redis.masterName);

  /** Of each server; of a replica that follows `slave`. */
  function roles(): Promise<string[]> {
    return Promise.all(
      redis.servers.map(async server => {
        const [role = '', , , link] = (await server.ask('ROLE')).split('\n');
        return role === 'slave' && link !== 'connected' ? 'not yet' : role;
      }),
    );
  }
});

interface Writers {
  readonly writers: number;
  readonly pauseMs: number;
}

interface Writing {
  readonly kept: readonly string[];
  longestMs(): number;
  lost(): Promise<string[]>;
}
