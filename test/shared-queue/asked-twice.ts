/** Questions whose answer was lost, and which are asked again: what is acknowledged then is as durable as at once, and nothing comes twice. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisQueueOptions } from '../../relay/queue/redis/open.ts';
import { deliver, everything, message, only } from '../relay/queue/messages.ts';
import { openRedis, single } from '../relay/queue/redis-harness.ts';
import { durable, type RedisPeer, startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

/** One that never says that it lives, but by what it asks. */
const silent: Partial<RedisQueueOptions> = { beatMs: 3_600_000 };

export interface Server {
  readonly name: string;
  readonly program: string;
  /** Why it is not here; false: it is. */
  readonly skip: string | false;
}

/** What waits for a disk or a replica waits for the last write of its connection, from 7.2 on; before, for all that was written until its last command. */
export function testAskedTwice({ name, program, skip }: Server): void {
  describe(`A queue in ${name} that asks a second time`, { skip }, () => {
    const stack = new AsyncDisposableStack();
    let folder: string;
    let redis: RedisPeer;
    before(async () => {
      folder = stack.use(await temporaryFolder()).path;
      redis = stack.use(await startRedis(folder, { program }));
    });
    after(() => stack.disposeAsync());

    it('does not take for replicated what it stored by an earlier connection and no replica has', async t => {
      await using replica = await startRedis(folder, {
        program,
        settings: { ...durable, replicaof: `127.0.0.1 ${redis.port}` },
      });
      await waitUntil('the replica follows', async () =>
        (await redis.ask('INFO', 'replication')).includes('state=online'),
      );
      const harness = await openRedis(single(redis.port), {
        ...silent,
        durability: () => ({ durability: 'Replicas', minReplicas: 1 }),
      });
      t.after(() => harness.end());
      const { queue, clock, keyPrefix } = harness;
      await queue.enqueue(message(clock));

      replica.signal('SIGSTOP');
      const sent = message(clock);
      const storing = queue.enqueue(sent);
      await waitUntil(
        'it is stored',
        async () => (await redis.ask('EXISTS', `${keyPrefix}{0.0}:m:${sent.id}`)) === '1',
      );
      await redis.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      const outcome = await Promise.race([storing.then(() => 'acknowledged', String), delay(20_000, 'nothing')]);
      replica.signal('SIGCONT');
      assert.match(outcome, /not durable|away|did not answer/);
    });

    it('does not store again what another took over and delivered meanwhile', async t => {
      const { queue, clock, another, end } = await openRedis(single(redis.port), silent);
      t.after(end);
      const other = (await another()).queue;
      t.after(() => other.close());
      const sent = message(clock);
      await queue.enqueue(sent, { leaseMs: 600_000 });
      for (let passed = 0; passed < 12_000; passed += 3000) {
        assert.deepEqual(await other.claim(everything), []);
        clock.advance(3000);
      }
      await deliver(other, only(await other.claim(everything)));
      assert.deepEqual(await queue.enqueue(sent, { leaseMs: 600_000 }), []);
      assert.equal((await queue.stats()).totals.accepted, 1);
      assert.equal(await queue.count({}), 0);
    });
  });
}
