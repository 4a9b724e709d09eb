/** What the bench's sink remembers of a run: which of its numbered recipients were served, how often, and when the last one was. */
import type { SinkCounts } from './sink.ts';

export class SinkLedger {
  connections = 0;
  signed = 0;
  looksForSignatures = false;
  #run = 0;
  #expected = 0;
  #deferEvery = 0;
  /** By recipient: bit 0 taken, bit 1 deferred once. */
  #seen = new Uint8Array(0);
  #taken = 0;
  #duplicates = 0;
  #strays = 0;
  #deferred = 0;
  #lastMs = 0;
  #onComplete: (() => void) | undefined;

  begin(run: number, expected: number, deferEvery: number): void {
    this.#run = run;
    this.#expected = expected;
    this.#deferEvery = deferEvery;
    // Several generators have a digit of their own behind their numbers.
    this.#seen = new Uint8Array(10 * (expected + 1));
    this.connections = 0;
    this.signed = 0;
    this.#taken = 0;
    this.#duplicates = 0;
    this.#strays = 0;
    this.#deferred = 0;
    this.#lastMs = 0;
  }

  /** Told once, when all of the run's recipients were served. */
  onComplete(listener: () => void): void {
    if (this.#taken >= this.#expected) listener();
    else this.#onComplete = listener;
  }

  /** Each n-th recipient is told to come back, the first time. */
  defers(run: number, recipient: number): boolean {
    if (this.#deferEvery === 0 || run !== this.#run || recipient % this.#deferEvery !== 0) return false;
    const seen = this.#seen[recipient] ?? 0;
    if ((seen & 2) !== 0) return false;
    this.#seen[recipient] = seen | 2;
    this.#deferred += 1;
    return true;
  }

  take(run: number, recipient: number): void {
    const seen = this.#seen[recipient];
    if (run !== this.#run || seen === undefined) {
      this.#strays += 1;
      return;
    }
    if ((seen & 1) !== 0) {
      this.#duplicates += 1;
      return;
    }
    this.#seen[recipient] = seen | 1;
    this.#taken += 1;
    if (this.#taken < this.#expected) return;
    this.#lastMs = monotonicMs();
    this.#onComplete?.();
    this.#onComplete = undefined;
  }

  counts(): SinkCounts {
    return {
      taken: this.#taken,
      duplicates: this.#duplicates,
      strays: this.#strays,
      deferred: this.#deferred,
      signed: this.signed,
      connections: this.connections,
      lastMs: this.#lastMs,
    };
  }
}

/** The system's clock since boot: the same in all processes of a machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
