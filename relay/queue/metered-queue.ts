import type { Metrics } from '../metrics.ts';
import type { Queue } from './queue.ts';

type Operation = 'enqueue' | 'claim' | 'settle' | 'renew' | 'probe';

/** The queue with its time and faults counted; the same for every store. */
export function meterQueue(queue: Queue, metrics: Metrics): Queue {
  const errors = metrics.postroad_queue_errors_total;

  async function count<T>(operation: Operation, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      errors.inc({ operation });
      throw error;
    }
  }

  async function time<T>(operation: 'enqueue' | 'claim' | 'settle', run: () => Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await count(operation, run);
    metrics.postroad_queue_operation_seconds.observe({ operation }, (performance.now() - started) / 1000);
    return result;
  }

  return {
    openSpool: () => queue.openSpool(),
    enqueue: (message, options) => time('enqueue', () => queue.enqueue(message, options)),
    claim: request => time('claim', () => queue.claim(request)),
    settle: settlement => time('settle', () => queue.settle(settlement)),
    renew: (tokens, leaseMs) => count('renew', () => queue.renew(tokens, leaseMs)),
    leasePart: token => queue.leasePart?.(token) ?? 0,
    leaseEra: part => (queue.leaseEra === undefined ? 0 : queue.leaseEra(part)),
    probe: () => count('probe', () => queue.probe()),
    nextDueTimeMs: () => queue.nextDueTimeMs(),
    suspend: (destination, untilMs) => queue.suspend(destination, untilMs),
    hold: filter => queue.hold(filter),
    release: filter => queue.release(filter),
    retryNow: filter => queue.retryNow(filter),
    list: (filter, page) => queue.list(filter, page),
    count: filter => queue.count(filter),
    stats: () => queue.stats(),
    close: () => queue.close(),
  };
}
