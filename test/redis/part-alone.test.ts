/** What each question comes to while one master of a Cluster is away and nobody takes over: the others' parts answer, and of its own it is said. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Claim, NewMessage } from '../../relay/queue/queue.ts';
import { homeOf, partitionOf } from '../../relay/queue/redis/keys.ts';
import type { OpenRedisQueue } from '../../relay/queue/redis/open.ts';
import { deliver, delivered, everything, message } from '../relay/queue/messages.ts';
import { openRedis, type RedisHarness } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { durable, nodeOfSlot, type RedisCluster, type RedisPeer, startCluster } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

const parts = 8;
/** Each claim waits a second at most for those that do not answer, and as long for each that it visits when they fall silent. */
const promptMs = 4000;
const unavailable = { code: 'POSTROAD_QUEUE_UNAVAILABLE' };
const leased = { leaseMs: 600_000 };

describe('While a master of a Cluster is away', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  const told: string[] = [];
  let cluster: RedisCluster;
  let harness: RedisHarness;
  let other: OpenRedisQueue;
  let victim: RedisPeer;
  let born: Claim[];
  let living: number[];
  let lost: number[];

  before(async () => {
    const folder = stack.use(await temporaryFolder());
    const settings = { ...durable, 'cluster-require-full-coverage': 'no' };
    cluster = stack.use(await startCluster(folder.path, { settings }));
    const addresses = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
    const onAbsent = (operation: string) => void told.push(operation);
    harness = await openRedis({ type: 'Cluster', addresses, database: 0 }, { onAbsent });
    stack.defer(() => harness.end());
    other = await harness.another();
    stack.defer(() => other.queue.close());
    const { queue } = harness;
    born = (await Promise.all(all().map(part => queue.enqueue(of(part), leased)))).flat();
    await Promise.all(all().map(part => queue.enqueue(of(part))));
    // Each part is known, as to a relay that has run for a while.
    await Promise.all([queue.stats(), other.queue.stats(), queue.probe()]);
    [victim] = cluster.nodes as [RedisPeer];
    const homes = await Promise.all(
      all().map(part => nodeOfSlot(cluster, partitionOf(harness.keyPrefix, part, parts).slot)),
    );
    lost = all().filter(part => homes[part] === victim);
    living = all().filter(part => !lost.includes(part));
    assert.ok(lost.length > 0 && living.length > 0, `lost ${lost}`);
  });
  after(() => stack.disposeAsync());

  function all(): number[] {
    return Array.from({ length: parts }, (_, part) => part);
  }

  function of(part: number): NewMessage {
    for (;;) {
      const made = message(harness.clock);
      if (homeOf(made.id, parts) === part) return made;
    }
  }

  const partsOf = (claims: readonly Claim[]): number[] => claims.map(({ message: { id } }) => homeOf(id, parts)).sort();
  const bornIn = (part: number): Claim => {
    const claim = born.find(({ message: { id } }) => homeOf(id, parts) === part);
    assert.ok(claim !== undefined);
    return claim;
  };

  it('a claim brings what the others have, in time, and one that finds nothing there says that a part is away', async () => {
    const { queue } = harness;
    victim.signal('SIGSTOP');
    const beganMs = performance.now();
    const claims = await queue.claim(everything);
    assert.ok(performance.now() - beganMs < promptMs, `${performance.now() - beganMs} ms`);
    assert.deepEqual(partsOf(claims), living);
    assert.deepEqual(told, ['claim']);
    for (const claim of claims) await deliver(queue, claim);
    const againMs = performance.now();
    await assert.rejects(queue.claim(everything), {
      ...unavailable,
      message: new RegExp(`^${lost.length} of 8 parts`),
    });
    assert.ok(performance.now() - againMs < promptMs, `${performance.now() - againMs} ms`);
  });

  it('leases of the other parts are renewed meanwhile, and stay sure; those of its own are not', async () => {
    const { queue } = harness;
    const [here = 0] = living;
    const [there = 0] = lost;
    assert.equal(queue.leasePart?.(bornIn(there).token), there);
    const away = assert.rejects(queue.renew([bornIn(there).token], 600_000), unavailable);
    const beganMs = performance.now();
    assert.deepEqual(await queue.renew([bornIn(here).token], 600_000), []);
    assert.ok(performance.now() - beganMs < promptMs);
    await away;
    await waitUntil('it is unsure of what is there', () => queue.leaseEra?.(there) === undefined, { limitMs: 20_000 });
    for (const part of living)
      await waitUntil('it is sure of the others', () => queue.leaseEra?.(part) !== undefined, { limitMs: 20_000 });
    assert.equal(queue.leaseEra?.(there), undefined);
  });

  it('new mail of the others is stored, and readiness says so; what is told of the whole is as it was, and that it is old', async () => {
    const { queue } = harness;
    const [here = 0] = living;
    const [there = 0] = lost;
    await queue.enqueue(of(here));
    await assert.rejects(queue.enqueue(of(there)), unavailable);
    told.length = 0;
    await waitUntil('a probe hears that a part is away', async () => {
      await queue.probe();
      return told.includes('probe');
    });
    const { totals, depth, partsAway } = await queue.stats();
    assert.equal(partsAway, lost.length);
    assert.deepEqual(totals, { accepted: 17, delivered: living.length, failed: 0, discarded: 0 });
    assert.deepEqual(depth, { Waiting: 1 + lost.length, Leased: 8, Held: 0 });
    await assert.rejects(queue.count({}), unavailable);
  });

  it('a settlement of the others sends its DSN also where the id of that would be kept there', async () => {
    const [here = 0] = living;
    const [there = 0] = lost;
    const claim = bornIn(here);
    await harness.queue.settle({ claim, outcomes: delivered(claim), messages: [of(there)] });
  });

  it('lanes that were kept there are kept elsewhere, the same for all relays, and no connection is granted twice', async () => {
    const [there = 0] = lost;
    const { lanes } = harness.opened;
    const keyOf = (n: number): string => `lane ${n}`;
    const key = keyOf(Array.from({ length: 100 }, (_, n) => n).find(n => lanes.placeOf(keyOf(n)) === there) ?? 0);
    assert.equal(lanes.placeOf(key), there);
    const word = { key, most: 4, holds: 0, open: 0, wants: 9, works: true, proven: true };
    const [[mine], [theirs]] = [await lanes.ask(there, [word]), await other.lanes.ask(there, [word])];
    assert.deepEqual([mine?.may, theirs?.may], [4, 0]);
  });

  it('an owner that ends leaves what it has of the others to them at once', async () => {
    const { queue } = other;
    const [here = 0] = living;
    const third = await harness.another();
    const its = of(here);
    await third.queue.enqueue(its, leased);
    await third.queue.close();
    const claims = await queue.claim(everything);
    assert.ok(claims.some(({ message: { id } }) => id === its.id));
    for (const claim of claims) await deliver(queue, claim);
  });

  it('and when it is back, its mail is there, and what was refused in doubt is not', async () => {
    const { queue } = harness;
    victim.signal('SIGCONT');
    await waitUntil('all of it answers', async () => (await queue.stats()).partsAway === undefined, {
      limitMs: 30_000,
    });
    const [there = 0] = lost;
    const taken = await waitUntil('its mail is claimed', async () => claimedOrNothing(), { limitMs: 30_000 });
    assert.deepEqual(partsOf(taken), lost);
    for (const claim of [...taken, ...born.filter(({ message: { id } }) => homeOf(id, parts) !== living[0])])
      await deliver(queue, claim);
    await waitUntil('it lives there again', () => queue.leaseEra?.(there) !== undefined, { limitMs: 20_000 });
    const { totals, depth } = await queue.stats();
    assert.deepEqual(depth, { Waiting: 0, Leased: 0, Held: 0 });
    assert.equal(totals.accepted, totals.delivered + totals.discarded);
  });

  async function claimedOrNothing(): Promise<Claim[] | undefined> {
    try {
      const claims = await harness.queue.claim(everything);
      return claims.length === 0 ? undefined : claims;
    } catch (error) {
      assert.ok(error instanceof Error && 'code' in error && error.code === unavailable.code, String(error));
      return undefined;
    }
  }
});
