/** What only a queue in Redis can be asked: its server away, full, changed; other owners beside; nothing left behind. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { RedisQueueOptions } from '../../relay/queue/redis/open.ts';
import { contentOf, deliver, everything, message, only, readAll, to } from '../relay/queue/messages.ts';
import { openRedis, type RedisHarness, single } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { type RedisPeer, startRedis } from '../support/redis.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

/** One that never says that it lives, but by what it asks. */
const silent = { beatMs: 3_600_000 };
const ownerTtlMs = 10_000;

describe('A queue in Redis', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let folder: string;
  let redis: RedisPeer;
  const open: RedisHarness[] = [];
  before(async () => {
    folder = stack.use(await temporaryFolder()).path;
    redis = stack.use(await startRedis(folder));
  });
  after(() => stack.disposeAsync());
  afterEach(async () => {
    for (const harness of open.splice(0)) await harness.end();
  });

  async function start(options: Partial<RedisQueueOptions> = {}, port = redis.port): Promise<RedisHarness> {
    const harness = await openRedis(single(port), { ...silent, ...options });
    open.push(harness);
    return harness;
  }

  it('gives the leases of an owner that fell silent to the next within seconds, and refuses its old tokens', async () => {
    const { queue, clock, another, keyPrefix } = await start();
    const [born] = await queue.enqueue(message(clock), { leaseMs: 600_000 });
    await queue.enqueue(message(clock));
    const claimed = only(await queue.claim({ ...everything, leaseMs: 600_000 }));
    const other = (await another()).queue;
    try {
      // Somebody is always heard, so that it is not the server that was away.
      for (let passed = 0; passed < ownerTtlMs - 1; passed += 3333) {
        clock.advance(3333);
        assert.deepEqual(await other.claim(everything), []);
      }
      assert.equal(await other.nextDueTimeMs(), clock.now() + 1);
      clock.advance(1);
      const taken = await other.claim(everything);
      assert.equal(taken.length, 2);
      // By which it hears of it.
      const note = `${keyPrefix}{0.0}:taken:${claimed.token.split('.', 1)}`;
      assert.equal(await redis.ask('GET', note), String(clock.now()));
      for (const old of [born, claimed]) {
        assert.ok(old !== undefined);
        await assert.rejects(deliver(queue, old), { code: 'POSTROAD_LEASE_LOST' });
        assert.deepEqual(await queue.renew([old.token], 1000), [old.token]);
      }
      for (const claim of taken) await deliver(other, claim);
      assert.deepEqual((await queue.stats()).totals, { accepted: 2, delivered: 2, failed: 0, discarded: 0 });
    } finally {
      await other.close();
    }
  });

  it('does not take owners for dead because the server was away for long: each has its time again', async () => {
    const { queue, clock, another } = await start();
    const [born] = await queue.enqueue(message(clock), { leaseMs: 600_000 });
    const other = (await another()).queue;
    assert.deepEqual(await other.claim(everything), []);
    clock.advance(60_000);
    assert.deepEqual(await other.claim(everything), []);
    assert.equal(await other.nextDueTimeMs(), clock.now() + ownerTtlMs);
    clock.advance(ownerTtlMs / 2);
    assert.deepEqual(await other.claim(everything), []);
    clock.advance(ownerTtlMs / 2);
    assert.equal((await other.claim(everything)).length, 1);
    await other.close();
    assert.ok(born !== undefined);
  });

  it('takes over from the dead within seconds also when the clock was set back, as at a server that took over and is slow', async t => {
    const { queue, clock, another } = await start();
    await queue.enqueue(message(clock), { leaseMs: 120_000 });
    const other = (await another()).queue;
    t.after(() => other.close());
    assert.deepEqual(await other.claim(everything), []);
    // All were silent for long, and then that.
    clock.advance(ownerTtlMs);
    assert.deepEqual(await other.claim(everything), []);
    clock.advance(-3_600_000);
    for (let passed = 0; passed < ownerTtlMs; passed += ownerTtlMs / 4) {
      assert.deepEqual(await other.claim(everything), []);
      clock.advance(ownerTtlMs / 4);
    }
    await deliver(other, only(await other.claim(everything)));
  });

  it('lets nobody settle with the token of another owner', async () => {
    const { queue, clock, another } = await start();
    const [claim] = await queue.enqueue(message(clock), { leaseMs: 1000 });
    const other = (await another()).queue;
    assert.ok(claim !== undefined);
    await assert.rejects(deliver(other, claim), { code: 'POSTROAD_LEASE_LOST' });
    assert.deepEqual(await other.renew([claim.token], 1000), [claim.token]);
    await other.close();
    await deliver(queue, claim);
  });

  it('shares a backlog between owners without giving anything twice', async () => {
    const { queue, clock, another } = await start();
    for (let n = 0; n < 60; n += 1) await queue.enqueue(message(clock, { recipients: [to(`u@d${n % 7}.example`)] }));
    const others = await Promise.all([another(), another()]);
    const queues = [queue, ...others.map(other => other.queue)];
    const claims = (await Promise.all(queues.map(each => each.claim({ ...everything, limit: 25 })))).flat();
    assert.equal(claims.length, 60);
    assert.equal(new Set(claims.map(({ message: { id } }) => id)).size, 60);
    await Promise.all(others.map(other => other.queue.close()));
  });

  it('leaves nothing in Redis after the last recipient is settled, but its books', async () => {
    const { queue, clock, keyPrefix } = await start();
    const recipients = ['a', 'b', 'c'].map(name => to(`${name}@${name}.example`));
    for (const content of ['small', Buffer.alloc(1_000_000, 'large')])
      await queue.enqueue(message(clock, { recipients, content: contentOf(content) }));
    await queue.suspend('direct/a.example', clock.now() + 60_000);
    await queue.claim(everything).then(claims => Promise.all(claims.map(claim => deliver(queue, claim))));
    await queue.suspend('direct/a.example', 0);
    for (const claim of await queue.claim(everything)) await deliver(queue, claim);
    assert.equal(await queue.count({}), 0);
    await queue.close();
    const keys = (await redis.ask('KEYS', `${keyPrefix}*`)).split('\n');
    const lives = await Promise.all(keys.map(async key => Number(await redis.ask('PTTL', key))));
    // That a message came and went is remembered for a minute.
    assert.ok(
      lives.every((life, at) => life > 0 || keys[at]?.endsWith(':meta')),
      keys.join(),
    );
  });

  it('keeps contents compressed where that pays, and gives them back as they were', async () => {
    const { queue, clock, keyPrefix } = await start();
    const text = contentOf('Dear reader, once more the same.\r\n'.repeat(3000));
    const sent = message(clock, { content: text });
    await queue.enqueue(sent);
    const kept = Number(await redis.ask('HSTRLEN', `${keyPrefix}{0.0}:m:${sent.id}`, 'b'));
    assert.ok(kept < text.sizeBytes / 10, `${kept} of ${text.sizeBytes}`);
    assert.deepEqual(await readAll(only(await queue.claim(everything)).content), text.bytes);
  });

  it('does not store again what came and went, when the question arrives a second time', async () => {
    const { queue, clock } = await start();
    const sent = message(clock);
    await queue.enqueue(sent);
    await deliver(queue, only(await queue.claim(everything)));
    assert.deepEqual(await queue.enqueue(sent, { leaseMs: 1000 }), []);
    assert.equal(await queue.count({}), 0);
    assert.equal((await queue.stats()).totals.accepted, 1);
  });

  it('loads its scripts again when the server has lost them', async () => {
    const { queue, clock } = await start();
    await queue.enqueue(message(clock));
    await redis.ask('SCRIPT', 'FLUSH');
    await queue.enqueue(message(clock));
    assert.equal((await queue.claim(everything)).length, 2);
  });

  it('takes nothing on a server that would lose it, says why, settles what it has, and goes on when it is mended', async () => {
    await using own = await startRedis(folder);
    const { queue, clock } = await start({ lookMs: 20 }, own.port);
    const [claim] = await queue.enqueue(message(clock), { leaseMs: 1000 });
    await queue.enqueue(message(clock));
    await own.ask('CONFIG', 'SET', 'appendfsync', 'everysec');
    await waitUntil('it is noticed', () => fails(queue.probe(), 'POSTROAD_QUEUE_UNSAFE'));
    await assert.rejects(queue.enqueue(message(clock)), /appendfsync must be always/);
    assert.ok(claim !== undefined);
    await deliver(queue, claim);
    await deliver(queue, only(await queue.claim(everything)));
    assert.deepEqual((await queue.stats()).totals, { accepted: 2, delivered: 2, failed: 0, discarded: 0 });
    await own.ask('CONFIG', 'SET', 'appendfsync', 'always');
    await waitUntil('it is mended', async () => !(await fails(queue.probe(), 'POSTROAD_QUEUE_UNSAFE')));
    await queue.enqueue(message(clock));
  });

  it('says that it is full when the server is out of memory, loses nothing, and takes mail again when there is room', async () => {
    await using own = await startRedis(folder);
    const { queue, clock } = await start({}, own.port);
    const random = seededRandom(1);
    const noise = () => contentOf(Buffer.from(Array.from({ length: 50_000 }, () => Math.floor(random() * 256))));
    const used = Number(/used_memory:(\d+)/.exec(await own.ask('INFO', 'memory'))?.[1]);
    await own.ask('CONFIG', 'SET', 'maxmemory', String(used + 3_000_000));
    const kept: string[] = [];
    await assert.rejects(
      async () => {
        for (let n = 0; n < 1000; n += 1) {
          const sent = message(clock, { content: noise() });
          await queue.enqueue(sent);
          kept.push(sent.id);
        }
      },
      { code: 'POSTROAD_QUEUE_FULL' },
    );
    // Far too little: nothing that grows is done, and what makes room all the same.
    await own.ask('CONFIG', 'SET', 'maxmemory', '100000');
    await assert.rejects(queue.probe(), { code: 'POSTROAD_QUEUE_FULL' });
    assert.ok(kept.length > 5, `${kept.length} were kept`);
    const claims = await queue.claim(everything);
    assert.deepEqual(claims.map(({ message: { id } }) => id).sort(), kept);
    // In one write with what is refused, which must not keep them from being settled.
    const [refused, ...settled] = await Promise.allSettled([
      queue.enqueue(message(clock, { content: noise() })),
      ...claims.map(claim => deliver(queue, claim)),
    ]);
    assert.equal(refused?.status, 'rejected');
    assert.ok(settled.every(({ status }) => status === 'fulfilled'));
    await own.ask('CONFIG', 'SET', 'maxmemory', String(used + 3_000_000));
    await queue.probe();
    await queue.enqueue(message(clock));
    assert.equal((await queue.stats()).totals.accepted, kept.length + 1);
  });

  it('fails within seconds while its server is away, and works within one of its return, with all that was acknowledged', async () => {
    await using own = await startRedis(folder);
    const { queue, clock } = await start({}, own.port);
    await queue.enqueue(message(clock));
    await own.kill();
    const began = performance.now();
    await assert.rejects(queue.enqueue(message(clock)), { code: 'POSTROAD_QUEUE_UNAVAILABLE' });
    const first = performance.now() - began;
    assert.ok(first < 6000, `${first} ms`);
    const later = performance.now();
    await assert.rejects(queue.probe(), { code: 'POSTROAD_QUEUE_UNAVAILABLE' });
    assert.ok(performance.now() - later < 1000, 'who comes later does not wait as long');
    await own.start();
    const back = performance.now();
    await waitUntil('it is back', async () => !(await fails(queue.probe(), 'POSTROAD_QUEUE_UNAVAILABLE')));
    assert.ok(performance.now() - back < 1000, `${performance.now() - back} ms`);
    assert.equal((await queue.claim(everything)).length, 1);
  });

  it('does not wait for ever for a server that is stopped, and stores once what it asked twice', async () => {
    await using own = await startRedis(folder);
    const { queue, clock } = await start({}, own.port);
    await queue.probe();
    own.signal('SIGSTOP');
    const storing = queue.enqueue(message(clock));
    await assert.rejects(storing, { code: 'POSTROAD_QUEUE_UNAVAILABLE' });
    own.signal('SIGCONT');
    await waitUntil('it is back', async () => !(await fails(queue.probe(), 'POSTROAD_QUEUE_UNAVAILABLE')));
    const { totals, depth } = await queue.stats();
    assert.equal(totals.accepted, depth.Waiting);
    assert.ok(totals.accepted <= 1);
  });
});

async function fails(asked: Promise<unknown>, code: string): Promise<boolean> {
  try {
    await asked;
    return false;
  } catch (error) {
    if ((error as { code?: unknown }).code !== code) throw error;
    return true;
  }
}
