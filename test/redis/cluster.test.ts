import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { NewMessage } from '../../relay/queue/queue.ts';
import { homeOf, partitionOf } from '../../relay/queue/redis/keys.ts';
import type { RedisOptions } from '../../relay/redis/options.ts';
import { conformance } from '../relay/queue/conformance.ts';
import { deliver, everything, message, only, to } from '../relay/queue/messages.ts';
import { openRedis } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { beginMove, type RedisCluster, startCluster } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('On a Cluster of three', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let cluster: RedisCluster;
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    cluster = stack.use(await startCluster(folder.path));
  });
  after(() => stack.disposeAsync());

  const options = (): RedisOptions => ({
    type: 'Cluster',
    // One is enough: the others are found through it.
    addresses: cluster.nodes.slice(0, 1).map(({ port }) => ({ host: '127.0.0.1', port })),
    database: 0,
  });

  conformance('Redis Cluster', () => openRedis(options()));

  it('keeps lanes on all of its nodes, and grants each as one server does', async t => {
    const harness = await openRedis(options());
    t.after(() => harness.end());
    const other = await harness.another();
    t.after(() => other.queue.close());
    const places = new Set<number>();
    for (let n = 0; n < 60; n += 1) {
      const word = { key: `lane ${n}`, most: 4, holds: 0, open: 0, wants: 9, works: true, proven: true };
      const place = other.lanes.placeOf(word.key);
      places.add(place);
      assert.equal((await harness.opened.lanes.ask(place, [word]))[0]?.may, 4);
      assert.equal((await other.lanes.ask(place, [word]))[0]?.may, 0);
    }
    assert.equal(places.size, 8);
  });

  it('refuses to work on half of a partition while its slot moves to another node, and loses nothing', async t => {
    const harness = await openRedis(options());
    // Also when it fails: a queue that looks for its servers for ever keeps the test from ending.
    t.after(() => harness.end());
    const { queue, clock, keyPrefix } = harness;
    const partition = partitionOf(keyPrefix, 3, 8);
    const here = (): NewMessage => {
      for (;;) {
        const sent = message(clock, { recipients: [to('a@one.example'), to('b@two.example')] });
        if (homeOf(sent.id, 8) === partition.number) return sent;
      }
    };
    for (let n = 0; n < 10; n += 1) await queue.enqueue(here());
    const claim = only(await queue.claim({ limit: 1, limitPerDestination: 1, leaseMs: 60_000 }));

    const move = await beginMove(cluster, partition.slot);
    const keys = await move.keys();
    assert.ok(keys.length > 10, keys.join());
    await move.some(keys.filter((_, at) => at % 2 === 0));
    const asked = Promise.all([queue.enqueue(here()), deliver(queue, claim), queue.stats(), queue.claim(everything)]);
    const first = await Promise.race([asked, delay(300, 'nothing yet')]);
    assert.equal(first, 'nothing yet');
    await move.some(await move.keys());
    await move.end();

    const [, , , claims] = await asked;
    const rest = [...claims, ...(await queue.claim(everything))];
    for (const each of rest) await deliver(queue, each);
    assert.deepEqual((await queue.stats()).totals, { accepted: 22, delivered: 22, failed: 0, discarded: 0 });
    assert.equal(await queue.count({}), 0);
  });
});
