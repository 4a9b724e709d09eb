import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ApiError } from '../../../operator/kube/errors.ts';
import { createWorkQueue, type Requeue, TerminalError, type WorkQueue } from '../../../operator/kube/workqueue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { KeptMetrics, quiet } from './fakes.ts';

interface Run {
  readonly key: string;
  finish(requeue?: Requeue): void;
  fail(error?: Error): void;
}

interface Setup {
  readonly clock: FakeClock;
  readonly queue: WorkQueue;
  readonly metrics: KeptMetrics;
  /** Started and not finished. */
  readonly runs: Map<string, Run>;
  readonly started: string[];
  readonly stopping: AbortController;
  readonly ended: Promise<void>;
}

function setUp(t: TestContext, concurrency = 1, { isStarted = true } = {}): Setup {
  const clock = new FakeClock();
  const metrics = new KeptMetrics();
  const backoff = { firstMs: 1000, longestMs: 8000 };
  const queue = createWorkQueue({ name: 'q', clock, random: () => 0.9999999, log: quiet, metrics, backoff });
  const runs = new Map<string, Run>();
  const started: string[] = [];
  const stopping = new AbortController();
  const reconcile = async (key: string): Promise<Requeue | undefined> => {
    assert.ok(!runs.has(key), `${key} runs twice at once`);
    started.push(key);
    const { promise, resolve, reject } = Promise.withResolvers<Requeue | undefined>();
    const run = { key, finish: resolve, fail: (error = new Error('no')) => reject(error) };
    runs.set(key, run);
    return await promise.finally(() => runs.delete(key));
  };
  const start = (): Promise<void> => queue.run(reconcile, { concurrency, signal: stopping.signal });
  const ended = isStarted ? start() : Promise.resolve();
  t.after(async () => {
    stopping.abort();
    for (const run of runs.values()) run.finish();
    await ended;
  });
  return { clock, queue, metrics, runs, started, stopping, ended };
}

async function finish({ runs, clock }: Setup, key: string, requeue?: Requeue): Promise<void> {
  const run = runs.get(key);
  assert.ok(run !== undefined, `${key} does not run`);
  run.finish(requeue);
  await clock.advance(0);
}

async function fail({ runs, clock }: Setup, key: string, error?: Error): Promise<void> {
  const run = runs.get(key);
  assert.ok(run !== undefined, `${key} does not run`);
  run.fail(error);
  await clock.advance(0);
}

test('a key that is added often is worked on once', async t => {
  const setup = setUp(t);
  for (let i = 0; i < 5; i++) setup.queue.add('a');
  setup.queue.add('b');
  await setup.clock.advance(0);
  await finish(setup, 'a');
  await finish(setup, 'b');
  assert.deepEqual(setup.started, ['a', 'b']);
  assert.equal(setup.metrics.get('postroad_operator_queue_adds_total', { queue: 'q' }), 2);
});

test('a key that is added while it is worked on is worked on again, not beside', async t => {
  const setup = setUp(t, 3);
  setup.queue.add('a');
  await setup.clock.advance(0);
  setup.queue.add('a');
  setup.queue.add('a');
  await setup.clock.advance(0);
  assert.deepEqual(setup.started, ['a']);
  await finish(setup, 'a');
  assert.deepEqual(setup.started, ['a', 'a']);
  await finish(setup, 'a');
  assert.deepEqual(setup.started, ['a', 'a']);
});

test('as many keys at once as there are workers, no more', async t => {
  const setup = setUp(t, 2);
  for (const key of ['a', 'b', 'c']) setup.queue.add(key);
  await setup.clock.advance(0);
  assert.deepEqual([...setup.runs.keys()], ['a', 'b']);
  assert.equal(setup.queue.depth, 1);
  await finish(setup, 'a');
  assert.deepEqual([...setup.runs.keys()], ['b', 'c']);
});

test('a key that fails waits longer each time up to the cap, and begins anew once it worked', async t => {
  const setup = setUp(t);
  setup.queue.add('a');
  await setup.clock.advance(0);
  for (const waitMs of [1000, 2000, 4000, 8000, 8000]) {
    await fail(setup, 'a');
    await setup.clock.advance(waitMs - 1);
    assert.equal(setup.runs.size, 0, `waits for ${waitMs} ms`);
    await setup.clock.advance(1);
    assert.equal(setup.runs.size, 1, `runs after ${waitMs} ms`);
  }
  await finish(setup, 'a');
  setup.queue.add('a');
  await setup.clock.advance(0);
  await fail(setup, 'a');
  await setup.clock.advance(1000);
  assert.equal(setup.runs.size, 1);
});

test('a key that fails does not make another wait', async t => {
  const setup = setUp(t);
  setup.queue.add('a');
  setup.queue.add('b');
  await setup.clock.advance(0);
  await fail(setup, 'a');
  assert.deepEqual([...setup.runs.keys()], ['b']);
});

test('a change is looked at now, though the key waits for its back-off', async t => {
  const setup = setUp(t);
  setup.queue.add('a');
  await setup.clock.advance(0);
  await fail(setup, 'a');
  setup.queue.add('a');
  await setup.clock.advance(0);
  assert.deepEqual(setup.started, ['a', 'a']);
  await finish(setup, 'a');
  await setup.clock.advance(60_000);
  assert.deepEqual(setup.started, ['a', 'a'], 'and not once more when the back-off is over');
});

test('what the server asks for (Retry-After) is waited for when it is longer', async t => {
  const setup = setUp(t);
  setup.queue.add('a');
  await setup.clock.advance(0);
  await fail(setup, 'a', new ApiError('apply', { code: 429 }, 30_000));
  await setup.clock.advance(29_999);
  assert.equal(setup.runs.size, 0);
  await setup.clock.advance(1);
  assert.equal(setup.runs.size, 1);
});

test('a terminal error is not tried again until the key is added', async t => {
  const setup = setUp(t);
  setup.queue.add('a');
  await setup.clock.advance(0);
  await fail(setup, 'a', new TerminalError('spec'));
  await setup.clock.advance(600_000);
  assert.deepEqual(setup.started, ['a']);
  setup.queue.add('a');
  await setup.clock.advance(0);
  assert.deepEqual(setup.started, ['a', 'a']);
});

test('requeueAfter brings a key back at its time', async t => {
  const setup = setUp(t);
  setup.queue.add('a');
  await setup.clock.advance(0);
  await finish(setup, 'a', { requeueAfterMs: 90_000 });
  await setup.clock.advance(89_999);
  assert.equal(setup.runs.size, 0);
  await setup.clock.advance(1);
  assert.equal(setup.runs.size, 1);
});

test('addAfter keeps the sooner of two times, and wakes for one that is sooner than all others', async t => {
  const setup = setUp(t);
  setup.queue.addAfter('a', 10_000);
  await setup.clock.advance(0);
  setup.queue.addAfter('a', 20_000);
  setup.queue.addAfter('b', 3000);
  await setup.clock.advance(3000);
  await finish(setup, 'b');
  await setup.clock.advance(7000);
  assert.deepEqual(setup.started, ['b', 'a']);
});

test('changes overtake the backlog of the start, and the backlog still gets each tenth turn', async t => {
  const setup = setUp(t);
  for (let i = 0; i < 50; i++) setup.queue.add(`old-${i}`, 'backlog');
  for (let i = 0; i < 50; i++) setup.queue.add(`new-${i}`);
  await setup.clock.advance(0);
  while (setup.runs.size > 0) for (const key of setup.runs.keys()) await finish(setup, key);
  assert.equal(setup.started.length, 100);
  const firstTwenty = setup.started.slice(0, 20);
  assert.equal(firstTwenty.filter(key => key.startsWith('new')).length, 18);
});

test('a key of the backlog that changes moves before it', async t => {
  const setup = setUp(t);
  for (const key of ['a', 'b', 'c']) setup.queue.add(key, 'backlog');
  setup.queue.add('c');
  await setup.clock.advance(0);
  while (setup.runs.size > 0) for (const key of setup.runs.keys()) await finish(setup, key);
  assert.deepEqual(setup.started, ['c', 'a', 'b']);
});

test('a stop waits for what is under way, starts nothing more, and keeps the rest for the next run', async t => {
  const setup = setUp(t);
  setup.queue.add('a');
  setup.queue.add('b');
  await setup.clock.advance(0);
  let isEnded = false;
  const ended = setup.ended.then(() => {
    isEnded = true;
  });
  setup.stopping.abort();
  await setup.clock.advance(0);
  assert.equal(isEnded, false);
  await finish(setup, 'a');
  await ended;
  assert.deepEqual(setup.started, ['a']);
  assert.equal(setup.queue.depth, 1);
});

test('work that is abandoned by a stop is no failure, and is due at once in the next run', async t => {
  const setup = setUp(t);
  setup.queue.add('a');
  await setup.clock.advance(0);
  setup.stopping.abort();
  await fail(setup, 'a');
  await setup.ended;
  assert.equal(setup.metrics.get('postroad_operator_reconcile_total', { queue: 'q', result: 'Error' }), 0);
  const next = new AbortController();
  const again: string[] = [];
  const second = setup.queue.run(
    async key => {
      again.push(key);
      return undefined;
    },
    { concurrency: 1, signal: next.signal },
  );
  await setup.clock.advance(1);
  assert.deepEqual(again, ['a']);
  next.abort();
  await second;
});

test('what the queue holds is told: depth, delayed, and how long the oldest has run', async t => {
  const setup = setUp(t);
  const gauge = (name: string): number => setup.metrics.get(name, { queue: 'q' });
  for (const key of ['a', 'b', 'c']) setup.queue.add(key);
  setup.queue.addAfter('d', 600_000);
  await setup.clock.advance(45_000);
  assert.equal(gauge('postroad_operator_queue_depth'), 2);
  assert.equal(gauge('postroad_operator_queue_delayed'), 1);
  assert.equal(gauge('postroad_operator_reconcile_oldest_seconds'), 45);
});
