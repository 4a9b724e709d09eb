import type { Clock } from '../../relay/clock.ts';

interface Sleeper {
  readonly wakeTimeMs: number;
  readonly resolve: () => void;
}

/** Time that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor(nowMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  get sleepers(): number {
    return this.#sleepers.size;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (ms <= 0) return;
    await new Promise<void>((resolve, reject) => {
      const sleeper = { wakeTimeMs: this.#nowMs + ms, resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        if (this.#sleepers.delete(sleeper)) reject(signal.reason);
      });
    });
  }

  /** Wakes each sleeper at its own time, in order, and lets what it does happen before the next one. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      const next = [...this.#sleepers].sort((a, b) => a.wakeTimeMs - b.wakeTimeMs)[0];
      if (next === undefined || next.wakeTimeMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.wakeTimeMs);
      this.#sleepers.delete(next);
      next.resolve();
    }
    this.#nowMs = untilMs;
    await settled();
  }
}

/** Promises that are ready, and what they make ready, have had their turn. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>(resolve => setImmediate(resolve));
}
