import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { createUptime, type Uptime } from '../../../operator/kube/uptime.ts';
import { type Clock, systemClock } from '../../../relay/clock.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { JumpingClock } from '../../support/jumping-clock.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { never, setUp, watching } from './reflector-world.ts';
import { refuse } from './stub-api-server.ts';

/** Both clocks of it are the one of the test. */
const uptimeOf = (clock: Clock): Uptime => createUptime({ steadyMs: () => clock.now(), wallMs: () => clock.now() });

/** Lets the fake time pass in steps until something is so. */
async function advanceUntil(clock: FakeClock, what: string, check: () => boolean): Promise<number> {
  const startMs = clock.now();
  await waitUntil(
    what,
    async () => {
      if (check()) return true;
      await clock.advance(100);
      return false;
    },
    { everyMs: 1 },
  );
  return clock.now() - startMs;
}

test('a watch on which nothing comes, not even a bookmark, is given up after its limit', async t => {
  const clock = new FakeClock();
  const { collection, changes, metrics } = await setUp(t, {
    clock,
    uptime: uptimeOf(clock),
    limits: { silenceMs: 100_000 },
  });
  await watching(collection);
  // The server believes it is heard; what it writes goes nowhere.
  const [silent] = collection.watches;
  collection.watches.clear();
  collection.put('a');
  const waitedMs = await advanceUntil(clock, 'the change', () => changes.includes('added a'));
  assert.ok(waitedMs >= 100_000 && waitedMs < 102_000, `${waitedMs} ms`);
  assert.equal(metrics.get('postroad_operator_watch_failures_total', { kind: 'ConfigMap', fault: 'Silent' }), 1);
  assert.ok(silent?.destroyed || silent?.socket?.destroyed, 'its connection is closed, not left behind');
});

test('control: bookmarks keep a quiet watch alive', async t => {
  const clock = new FakeClock();
  const { collection, metrics } = await setUp(t, { clock, uptime: uptimeOf(clock), limits: { silenceMs: 100_000 } });
  await watching(collection);
  const fresh = (): number => metrics.get('postroad_operator_cache_fresh_timestamp_seconds', { kind: 'ConfigMap' });
  for (let minutes = 0; minutes < 5; minutes++) {
    await clock.advance(60_000);
    const before = fresh();
    collection.bookmark();
    await waitUntil('the bookmark', () => fresh() > before);
  }
  assert.equal(collection.watchRequests.length, 1);
});

test('a wall clock that is set forward by a year is no silence', async t => {
  const clock = new JumpingClock();
  const { collection, changes, metrics } = await setUp(t, { clock });
  await watching(collection);
  clock.jump(365 * 86_400_000);
  collection.put('a');
  await waitUntil('the change', () => changes.includes('added a'));
  assert.equal(collection.watchRequests.length, 1, 'it is the same watch');
  assert.equal(metrics.get('postroad_operator_watch_failures_total', { kind: 'ConfigMap', fault: 'Silent' }), 0);
});

test('a watch whose answer never begins is given up like any request', async t => {
  const { collection, changes } = await setUp(t, { timeoutMs: 50 });
  await watching(collection);
  collection.watchFaults.push(() => undefined);
  collection.endWatches();
  await waitUntil('the watch after it', () => collection.watchRequests.length === 3 && collection.watches.size === 1);
  collection.put('a');
  await waitUntil('the change', () => changes.length === 1);
});

test('Retry-After is waited for, when it is longer than our own wait', async t => {
  const clock = new FakeClock();
  const { collection, reflector } = await setUp(t, { clock, uptime: uptimeOf(clock) });
  await watching(collection);
  await reflector.whenSynced(never);
  collection.watchFaults.push((_request, response) => {
    refuse(response, 429, 'TooManyRequests', { headers: { 'retry-after': '30' } });
  });
  collection.endWatches();
  const waitedMs = await advanceUntil(clock, 'the watch after it', () => collection.watchRequests.length === 3);
  assert.ok(waitedMs >= 30_000 && waitedMs < 32_000, `${waitedMs} ms`);
});

test('waits grow while it fails, and begin small again after it worked', async t => {
  const waits: number[] = [];
  const clock: Clock = {
    now: systemClock.now,
    async sleep(ms, signal) {
      // Neither the silence guard nor a request's deadline.
      if (ms < 14_000) waits.push(ms);
      await systemClock.sleep(ms < 14_000 ? 1 : ms, signal);
    },
  };
  const { collection, changes } = await setUp(t, {
    clock,
    uptime: uptimeOf(clock),
    backoff: { firstMs: 800, longestMs: 12_000 },
  });
  await watching(collection);
  const fail = (_request: unknown, response: ServerResponse): void => refuse(response, 500, 'InternalError');
  collection.watchFaults.push(...Array.from({ length: 6 }, () => fail));
  collection.endWatches();
  await waitUntil('the watch after them', () => collection.watchRequests.length === 8 && collection.watches.size === 1);
  // The first is for a watch that the server ended at once.
  assert.deepEqual(waits.splice(0), [600, 600, 1200, 2400, 4800, 9000, 9000]);
  collection.put('a');
  await waitUntil('the change', () => changes.length === 1);
  collection.watchFaults.push(fail);
  collection.endWatches();
  await waitUntil('the next watch', () => collection.watchRequests.length === 10);
  assert.deepEqual(waits, [600, 600]);
});

test('a server that ends each watch at once is not asked in a tight loop', async t => {
  const clock = new FakeClock();
  const { collection } = await setUp(t, {
    clock,
    uptime: uptimeOf(clock),
    backoff: { firstMs: 1000, longestMs: 1000 },
  });
  const endAtOnce = (_request: unknown, response: ServerResponse): void => void response.end();
  collection.watchFaults.push(...Array.from({ length: 1000 }, () => endAtOnce));
  await advanceUntil(clock, 'twenty watches', () => collection.watchRequests.length >= 20);
  const startMs = clock.now();
  const before = collection.watchRequests.length;
  await advanceUntil(clock, 'twenty more', () => collection.watchRequests.length >= before + 20);
  assert.ok(clock.now() - startMs >= 10_000, `20 watches within ${clock.now() - startMs} ms`);
});
