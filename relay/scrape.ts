/** Gauges that are read when Prometheus asks, not kept while mail flows. */
import { statfs } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from './clock.ts';
import type { Metrics } from './metrics.ts';
import type { Queue, QueueTotals } from './queue/queue.ts';

const lagIntervalMs = 20;

interface ScrapeDependencies {
  readonly queue: Queue;
  /** What stands in a lane's line is Leased, and due all the same. */
  readonly scheduler: { readonly oldestDueTimeMs: number | undefined };
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly dataDir: string;
}

/** Returns the function behind /metrics, and what stops its sampling. */
export function createScrape({ queue, scheduler, metrics, clock, dataDir }: ScrapeDependencies): {
  read(): Promise<{ text: string; contentType: string }>;
  close(): void;
} {
  const lag = monitorEventLoopDelay({ resolution: lagIntervalMs });
  lag.enable();
  return {
    async read() {
      const [stats, disk] = await Promise.all([queue.stats(), statfs(dataDir)]);
      setTotals(metrics, stats.totals);
      for (const state of ['Waiting', 'Leased', 'Held'] as const) {
        metrics.postroad_queue_recipients.set({ state }, stats.depth[state]);
      }
      metrics.postroad_queue_parts_away.set(stats.partsAway ?? 0);
      const nowMs = clock.now();
      const dueMs = Math.min(stats.oldestDueTimeMs ?? nowMs, scheduler.oldestDueTimeMs ?? nowMs, nowMs);
      metrics.postroad_queue_oldest_due_age_seconds.set((nowMs - dueMs) / 1000);
      metrics.postroad_queue_free_disk_bytes.set(disk.bavail * disk.bsize);
      setLag(metrics, lag);
      return { text: await metrics.registry.metrics(), contentType: metrics.registry.contentType };
    },
    close: () => lag.disable(),
  };
}

/** The store's totals are the truth, and durable; the counters only show them, all from one snapshot. */
function setTotals(metrics: Metrics, totals: QueueTotals): void {
  for (const total of ['accepted', 'delivered', 'failed', 'discarded'] as const) {
    const counter = metrics[`postroad_queue_${total}_recipients_total`];
    counter.reset();
    counter.inc(totals[total]);
  }
}

function setLag(metrics: Metrics, lag: ReturnType<typeof monitorEventLoopDelay>): void {
  metrics.postroad_process_event_loop_lag_seconds.set(lagSeconds(lag.percentile(99)));
  lag.reset();
}

/** Node tells the time from one firing of its timer to the next; the lag is by how much that is more than was asked for. */
export function lagSeconds(betweenNs: number): number {
  return Number.isFinite(betweenNs) ? Math.max(0, betweenNs / 1e9 - lagIntervalMs / 1000) : 0;
}
