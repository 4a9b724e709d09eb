import { statfs } from 'node:fs/promises';
import { QueueFullError } from '../queue.ts';

/** How long a sample of the free space may be used. Low ones are looked at again sooner: that is how the queue recovers. */
const goodSampleMs = 1000;
const lowSampleMs = 50;

/**
 * Keeps spool files from filling the disk, on the main thread and without waiting for it more than once a second. Messages in
 * rows are checked by the worker, with a fresh figure for each batch.
 */
export class DiskGuard {
  readonly #folder: string;
  readonly #minFreeBytes: () => number;
  #freeBytes = 0;
  #sampledAt = Number.NEGATIVE_INFINITY;
  #sampling: Promise<void> | undefined;

  constructor(folder: string, minFreeBytes: () => number) {
    this.#folder = folder;
    this.#minFreeBytes = minFreeBytes;
  }

  /** Returns a promise when it has to look first. @throws QueueFullError */
  check(): Promise<void> | undefined {
    const ageMs = performance.now() - this.#sampledAt;
    const low = this.#freeBytes < this.#minFreeBytes();
    if (ageMs < (low ? lowSampleMs : goodSampleMs)) return this.#refuseWhenLow();
    this.#sampling ??= this.#sample();
    return this.#sampling.then(() => this.#refuseWhenLow());
  }

  /** Bytes written since the last sample count as gone. */
  spend(bytes: number): void {
    this.#freeBytes -= bytes;
  }

  #refuseWhenLow(): undefined {
    if (this.#freeBytes < this.#minFreeBytes())
      throw new QueueFullError('The queue has no room: the disk is nearly full.');
  }

  async #sample(): Promise<void> {
    try {
      const { bavail, bsize } = await statfs(this.#folder);
      this.#freeBytes = bavail * bsize;
      this.#sampledAt = performance.now();
    } finally {
      this.#sampling = undefined;
    }
  }
}
