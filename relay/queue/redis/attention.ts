/**
 * Asks several partitions, and waits for none that is slow or away: what it was asked goes on beside, and until that has an answer it is asked
 * nothing else. Who was late is not waited for the next time either, until an answer of it comes in time again.
 */
import { deadline } from '../../redis/deadline.ts';
import type { Partition } from './keys.ts';

/** Longer than a script and a sync of a disk take. */
const patienceMs = 1000;
/** One that failed is left alone for so long. */
const pauseMs = 1000;

/** Whether all of it was done in time. @throws what the first of it that failed did */
export type InTime = (work: readonly Promise<unknown>[]) => Promise<boolean>;

export interface AttentionParts {
  /** For tests: time of their own. */
  readonly inTime?: InTime;
  readonly monotonicMs?: () => number;
}

interface Failure {
  readonly fault: unknown;
  readonly atMs: number;
}

export class Attention {
  readonly #under = new Map<Partition, Promise<void>>();
  readonly #late = new Set<Partition>();
  readonly #failed = new Map<Partition, Failure>();
  readonly #inTime: InTime;
  readonly #monotonicMs: () => number;

  constructor(parts: AttentionParts = {}) {
    this.#inTime = parts.inTime ?? inTime;
    this.#monotonicMs = parts.monotonicMs ?? (() => performance.now());
  }

  /** Does the work for those that may be asked now. Resolves when it is done, where it is done in time; never rejects. */
  async each(partitions: readonly Partition[], work: (partition: Partition) => Promise<void>): Promise<void> {
    const waited: Promise<void>[] = [];
    for (const partition of partitions) {
      if (!this.#isFree(partition)) continue;
      const isLate = this.#late.has(partition);
      const running = this.#run(partition, work);
      if (!isLate) waited.push(running);
    }
    await this.#inTime(waited);
    for (const partition of this.#under.keys()) this.#late.add(partition);
  }

  /** All that is under way, where it is done soon. */
  async rest(): Promise<void> {
    await this.#inTime([...this.#under.values()]);
  }

  /** Those that failed last or have not answered yet, and why, where that is known. */
  absent(): unknown[] {
    const partitions = new Set([...this.#failed.keys(), ...this.#under.keys()]);
    return [...partitions].map(partition => this.#failed.get(partition)?.fault);
  }

  #isFree(partition: Partition): boolean {
    const failed = this.#failed.get(partition);
    return !this.#under.has(partition) && (failed === undefined || this.#monotonicMs() - failed.atMs >= pauseMs);
  }

  async #run(partition: Partition, work: (partition: Partition) => Promise<void>): Promise<void> {
    const running = this.#outcome(partition, work);
    this.#under.set(partition, running);
    await running;
  }

  async #outcome(partition: Partition, work: (partition: Partition) => Promise<void>): Promise<void> {
    const beganMs = this.#monotonicMs();
    try {
      await work(partition);
      this.#failed.delete(partition);
      if (this.#monotonicMs() - beganMs < patienceMs) this.#late.delete(partition);
    } catch (fault) {
      this.#failed.set(partition, { fault, atMs: this.#monotonicMs() });
      this.#late.add(partition);
    }
    this.#under.delete(partition);
  }
}

export async function inTime(work: readonly Promise<unknown>[]): Promise<boolean> {
  if (work.length === 0) return true;
  const limit = deadline(patienceMs);
  try {
    return (await Promise.race([Promise.all(work), limit.over])) !== 'late';
  } finally {
    limit.cancel();
  }
}
