/** The queue against a plain model: after every step the same keys run, wait and are delayed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createWorkQueue, type Priority, type Requeue } from '../../../operator/kube/workqueue.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { KeptMetrics, quiet } from './fakes.ts';

const firstMs = 1000;
const longestMs = 4000;

class Model {
  nowMs = 0;
  readonly running = new Set<string>();
  readonly delayed = new Map<string, number>();
  readonly #ready: { readonly key: string; readonly priority: Priority }[] = [];
  readonly #dirty = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #priorities = new Map<string, Priority>();
  readonly #concurrency: number;
  #takes = 0;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  get depth(): number {
    return this.#ready.length;
  }

  add(key: string, priority: Priority): void {
    const known = this.#priorities.get(key);
    const wins = known === undefined || (known === 'backlog' && priority === 'fresh');
    if (wins) {
      this.#priorities.set(key, priority);
      this.#remove(key);
    }
    this.delayed.delete(key);
    this.#makeReady(key);
  }

  addAfter(key: string, delayMs: number): void {
    if (this.#isReady(key) || this.#dirty.has(key)) return;
    if (!this.#priorities.has(key)) this.#priorities.set(key, 'fresh');
    this.#delay(key, this.nowMs + delayMs);
  }

  finish(key: string, again: number | 'fail' | undefined): void {
    this.running.delete(key);
    const failures = again === 'fail' ? (this.#failures.get(key) ?? 0) + 1 : 0;
    this.#failures.set(key, failures);
    if (this.#dirty.delete(key)) {
      this.#priorities.set(key, 'fresh');
      this.delayed.delete(key);
      this.#makeReady(key);
    } else if (again !== undefined) {
      const waitMs = again === 'fail' ? Math.min(longestMs, firstMs * 2 ** (failures - 1)) / 2 : again;
      this.#delay(key, this.nowMs + waitMs);
    } else if (!this.delayed.has(key)) {
      this.#priorities.delete(key);
      this.#failures.delete(key);
    }
    this.#start();
  }

  /** All that is due at one instant is ready, in the order in which it was put off, before anything of it is taken. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const dueTimeMs = Math.min(...this.delayed.values());
      if (dueTimeMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueTimeMs);
      const due = [...this.delayed].filter(([, each]) => each === dueTimeMs);
      for (const [key] of due) {
        this.delayed.delete(key);
        this.#setReady(key);
      }
      this.#start();
    }
    this.nowMs = untilMs;
  }

  #delay(key: string, dueTimeMs: number): void {
    const known = this.delayed.get(key);
    if (known !== undefined && known <= dueTimeMs) return;
    // Not in its former place: a Map keeps the order in which keys first came.
    this.delayed.delete(key);
    this.delayed.set(key, dueTimeMs);
  }

  #makeReady(key: string): void {
    this.#setReady(key);
    this.#start();
  }

  #setReady(key: string): void {
    if (this.running.has(key)) this.#dirty.add(key);
    else if (!this.#isReady(key)) this.#ready.push({ key, priority: this.#priorities.get(key) ?? 'fresh' });
  }

  #start(): void {
    while (this.running.size < this.#concurrency && this.#ready.length > 0) {
      const wanted: Priority = (this.#takes + 1) % 10 === 0 ? 'backlog' : 'fresh';
      const preferred = this.#ready.findIndex(({ priority }) => priority === wanted);
      const [taken] = this.#ready.splice(Math.max(0, preferred), 1);
      this.#takes += 1;
      if (taken !== undefined) this.running.add(taken.key);
    }
  }

  #isReady(key: string): boolean {
    return this.#ready.some(ready => ready.key === key);
  }

  #remove(key: string): void {
    const at = this.#ready.findIndex(ready => ready.key === key);
    if (at >= 0) this.#ready.splice(at, 1);
  }
}

type Step =
  | { readonly do: 'add'; readonly key: string; readonly priority: Priority }
  | { readonly do: 'addAfter'; readonly key: string; readonly delayMs: number }
  | { readonly do: 'finish'; readonly nth: number; readonly again: number | 'fail' | undefined }
  | { readonly do: 'advance'; readonly ms: number };

const keys = fc.constantFrom('a', 'b', 'c', 'd', 'e');
/** Few different ones, back-off times among them, so that keys often fall due at the same instant. */
const delays = fc.integer({ min: 1, max: 20 }).map(n => n * 250);
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('add' as const), key: keys, priority: fc.constantFrom<Priority>('fresh', 'backlog') }),
  fc.record({ do: fc.constant('addAfter' as const), key: keys, delayMs: delays }),
  fc.record({
    do: fc.constant('finish' as const),
    nth: fc.nat(3),
    again: fc.oneof(fc.constant(undefined), fc.constant('fail' as const), delays),
  }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 20 }).map(n => n * 250) }),
);

async function agree(concurrency: number, script: readonly Step[], breakIt = false): Promise<void> {
  const clock = new FakeClock(0);
  const backoff = { firstMs, longestMs };
  const metrics = new KeptMetrics();
  const queue = createWorkQueue({ name: 'q', clock, random: () => 0, log: quiet, metrics, backoff });
  const model = new Model(breakIt ? concurrency + 1 : concurrency);
  const running = new Map<string, PromiseWithResolvers<Requeue | undefined>>();
  const stopping = new AbortController();
  const ended = queue.run(
    async key => {
      assert.ok(!running.has(key), `${key} runs twice at once`);
      const result = Promise.withResolvers<Requeue | undefined>();
      running.set(key, result);
      return await result.promise.finally(() => running.delete(key));
    },
    { concurrency, signal: stopping.signal },
  );
  try {
    for (const step of script) {
      await take(step);
      assert.deepEqual([...running.keys()].sort(), [...model.running].sort(), `running after ${JSON.stringify(step)}`);
      assert.equal(queue.depth, model.depth, `depth after ${JSON.stringify(step)}`);
      assert.equal(queue.delayed, model.delayed.size, `delayed after ${JSON.stringify(step)}`);
    }
  } finally {
    stopping.abort();
    for (const result of running.values()) result.resolve(undefined);
    await ended;
  }

  async function take(step: Step): Promise<void> {
    if (step.do === 'add') {
      queue.add(step.key, step.priority);
      model.add(step.key, step.priority);
    } else if (step.do === 'addAfter') {
      queue.addAfter(step.key, step.delayMs);
      model.addAfter(step.key, step.delayMs);
    } else if (step.do === 'finish') finishNth(step);
    else model.advance(step.ms);
    await clock.advance(step.do === 'advance' ? step.ms : 0);
  }

  function finishNth({ nth, again }: Step & { readonly do: 'finish' }): void {
    const key = [...model.running].sort()[nth];
    if (key === undefined) return;
    const result = running.get(key);
    if (again === 'fail') result?.reject(new Error('no'));
    else result?.resolve(again === undefined ? undefined : { requeueAfterMs: again });
    model.finish(key, again);
  }
}

const scripts = fc.array(steps, { minLength: 5, maxLength: 40 });

test('random scripts leave the queue as the model says, step by step', async t => {
  const seed = Date.now();
  t.diagnostic(`seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), scripts, (concurrency, script) => agree(concurrency, script)),
    { numRuns: 300, seed },
  );
});

test('control: a queue with a worker less than the model is found out', async () => {
  const { failed } = await fc.check(
    fc.asyncProperty(scripts, script => agree(1, script, true)),
    { numRuns: 300 },
  );
  assert.ok(failed);
});
