/**
 * Keys to be reconciled. A key is in the queue once, however often it is added, and is worked on by one worker at a time:
 *
 *           add                 take                  done
 *   absent ─────► ready ───────────────► running ───────────► absent
 *            ▲      ▲  time is over         │ added meanwhile ─► ready
 *            │      └───────── delayed ◄────┘ failed, or asked to come again
 *            └ fresh overtakes backlog
 *
 * Fresh keys (a change) go before the backlog (what the first list brings), but each tenth take is the backlog's, so that a steady stream of
 * changes cannot keep an old object waiting for ever. Bounded by the number of distinct keys: one record a key, gone when it is done.
 */
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import { type BackoffOptions, backoffMs } from './backoff.ts';
import { DelayedKeys } from './delayed-keys.ts';
import type { MetricSink } from './metrics.ts';

export type Priority = 'fresh' | 'backlog';

export interface Requeue {
  readonly requeueAfterMs: number;
}

export type Reconcile = (key: string, signal: AbortSignal) => Promise<Requeue | undefined>;

/** Trying again would change nothing: the object must change first. Not backed off, not retried. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
  readonly code = 'KUBE_TERMINAL';
}

export interface WorkQueueOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: MetricSink;
  readonly backoff?: BackoffOptions;
}

export interface WorkQueue {
  /** Due keys that wait for a worker. */
  readonly depth: number;
  /** Keys that wait for their time. */
  readonly delayed: number;
  readonly running: number;
  /** How long the longest run under way has taken; 0 without one. */
  readonly oldestRunMs: number;
  add(key: string, priority?: Priority): void;
  /** No sooner than this; a sooner time that is already set stays. */
  addAfter(key: string, delayMs: number): void;
  /** Works until the signal is aborted, then waits for what is under way. What is left in the queue stays for the next run. */
  run(reconcile: Reconcile, options: { readonly concurrency: number; readonly signal: AbortSignal }): Promise<void>;
}

interface Item {
  readonly key: string;
  priority: Priority;
  isReady: boolean;
  isRunning: boolean;
  /** Added while it runs. */
  isDirty: boolean;
  failures: number;
  dueTimeMs: number;
}

const defaultBackoff: BackoffOptions = { firstMs: 500, longestMs: 300_000 };
const backlogShare = 10;

export function createWorkQueue({ name, clock, random, log, metrics, ...options }: WorkQueueOptions): WorkQueue {
  const backoff = options.backoff ?? defaultBackoff;
  const labels = { queue: name };
  const items = new Map<string, Item>();
  const ready = { fresh: new Set<Item>(), backlog: new Set<Item>() };
  const delayed = new DelayedKeys(clock, makeDue, report);
  const startTimes = new Map<string, number>();
  let idle = new Set<() => void>();
  let takes = 0;

  function report(): void {
    metrics.set('postroad_operator_queue_depth', labels, ready.fresh.size + ready.backlog.size);
    metrics.set('postroad_operator_queue_delayed', labels, delayed.size);
    metrics.set('postroad_operator_reconcile_oldest_seconds', labels, oldestRunMs() / 1000);
  }

  function oldestRunMs(): number {
    const now = clock.now();
    return now - Math.min(now, ...startTimes.values());
  }

  function itemOf(key: string, priority: Priority): Item {
    const known = items.get(key);
    if (known !== undefined) return known;
    const state = { isReady: false, isRunning: false, isDirty: false, failures: 0, dueTimeMs: 0 };
    const item = { key, priority, ...state };
    items.set(key, item);
    metrics.add('postroad_operator_queue_adds_total', labels);
    return item;
  }

  function add(key: string, priority: Priority = 'fresh'): void {
    const item = itemOf(key, priority);
    if (priority === 'fresh' && item.priority === 'backlog') {
      ready.backlog.delete(item);
      item.isReady = false;
      item.priority = 'fresh';
    }
    // A change is looked at now, whatever the key was waiting for.
    delayed.delete(key);
    makeReady(item);
  }

  function makeReady(item: Item): void {
    if (item.isRunning) item.isDirty = true;
    else if (!item.isReady) {
      item.isReady = true;
      item.dueTimeMs = clock.now();
      ready[item.priority].add(item);
      wakeOne();
    }
    report();
  }

  function makeDue(key: string): void {
    const item = items.get(key);
    if (item !== undefined) makeReady(item);
  }

  function addAfter(key: string, delayMs: number): void {
    const item = itemOf(key, 'fresh');
    if (item.isReady || item.isDirty) return;
    delayed.add(key, clock.now() + delayMs);
    report();
  }

  function take(): Item | undefined {
    const backlogFirst = (takes + 1) % backlogShare === 0;
    const order = backlogFirst ? [ready.backlog, ready.fresh] : [ready.fresh, ready.backlog];
    for (const set of order) {
      const [item] = set;
      if (item === undefined) continue;
      takes += 1;
      set.delete(item);
      item.isReady = false;
      item.isRunning = true;
      return item;
    }
    return undefined;
  }

  function wakeOne(): void {
    const [wake] = idle;
    if (wake === undefined) return;
    idle.delete(wake);
    wake();
  }

  /** After a run of it: waits again, or is forgotten. */
  function settle(item: Item, again: { readonly afterMs: number } | undefined): void {
    item.isRunning = false;
    if (item.isDirty) {
      item.isDirty = false;
      // The change came while it ran, so it counts as one, and is not made to wait for a failure before it.
      item.priority = 'fresh';
      delayed.delete(item.key);
      makeReady(item);
    } else if (again !== undefined) delayed.add(item.key, clock.now() + again.afterMs);
    else if (!delayed.has(item.key)) items.delete(item.key);
    report();
  }

  async function work(item: Item, reconcile: Reconcile, signal: AbortSignal): Promise<void> {
    const startedMs = clock.now();
    startTimes.set(item.key, startedMs);
    metrics.observe('postroad_operator_queue_wait_seconds', labels, Math.max(0, startedMs - item.dueTimeMs) / 1000);
    let again: { readonly afterMs: number } | undefined;
    try {
      const requeue = await reconcile(item.key, signal);
      item.failures = 0;
      if (requeue !== undefined) again = { afterMs: requeue.requeueAfterMs };
      count(requeue === undefined ? 'Done' : 'RequeueAfter');
    } catch (error) {
      again = failed(item, error, signal);
    } finally {
      startTimes.delete(item.key);
      metrics.observe('postroad_operator_reconcile_seconds', labels, Math.max(0, clock.now() - startedMs) / 1000);
      settle(item, again);
    }
  }

  function failed(item: Item, error: unknown, signal: AbortSignal): { readonly afterMs: number } | undefined {
    // Abandoned, not failed: due at once for whoever runs this queue next.
    if (signal.aborted) return { afterMs: 0 };
    if (error instanceof TerminalError) {
      item.failures = 0;
      count('Terminal');
      log.warn({ err: error, key: item.key }, 'reconciling is of no use until the object changes');
      return undefined;
    }
    item.failures += 1;
    count('Error');
    const afterMs = Math.max(backoffMs(item.failures, backoff, random), retryAfterMs(error));
    log.error(
      { err: error, key: item.key, failures: item.failures, afterMs: Math.round(afterMs) },
      'reconciling failed',
    );
    return { afterMs };
  }

  function count(result: 'Done' | 'RequeueAfter' | 'Error' | 'Terminal'): void {
    metrics.add('postroad_operator_reconcile_total', { ...labels, result });
  }

  async function worker(reconcile: Reconcile, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const item = take();
      if (item === undefined) await new Promise<void>(resolve => idle.add(resolve));
      else await work(item, reconcile, signal);
    }
  }

  return {
    get depth() {
      return ready.fresh.size + ready.backlog.size;
    },
    get delayed() {
      return delayed.size;
    },
    get running() {
      return startTimes.size;
    },
    get oldestRunMs() {
      return oldestRunMs();
    },
    add,
    addAfter,
    async run(reconcile, { concurrency, signal }) {
      const wakeAll = (): void => {
        const woken = idle;
        idle = new Set();
        for (const wake of woken) wake();
      };
      signal.addEventListener('abort', wakeAll, { once: true });
      try {
        const timer = delayed.run(signal);
        await Promise.all([timer, ...Array.from({ length: concurrency }, () => worker(reconcile, signal))]);
      } finally {
        signal.removeEventListener('abort', wakeAll);
      }
    },
  };
}

/** What the server asked for (429, 503). */
function retryAfterMs(error: unknown): number {
  const asked = error instanceof Error && 'retryAfterMs' in error ? error.retryAfterMs : undefined;
  return typeof asked === 'number' ? Math.min(asked, longestRetryAfterMs) : 0;
}

const longestRetryAfterMs = 120_000;
