import type { Clock } from '../../relay/clock.ts';

/** Node's timers fire at once when asked to wait longer. */
const longestTimerMs = 2 ** 31 - 1;

/** The system's time, with what a test adds to it: whoever sleeps past the new time wakes. */
export class JumpingClock implements Clock {
  #aheadMs = 0;
  readonly #sleepers = new Set<{ readonly wakeTimeMs: number; readonly wake: () => void }>();

  now(): number {
    return Date.now() + this.#aheadMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper = { wakeTimeMs: this.now() + ms, wake: resolve };
    const timer = setTimeout(resolve, Math.min(ms, longestTimerMs));
    const stop = (): void => reject(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    this.#sleepers.add(sleeper);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      this.#sleepers.delete(sleeper);
    }
  }

  jump(ms: number): void {
    this.#aheadMs += ms;
    for (const { wakeTimeMs, wake } of this.#sleepers) if (wakeTimeMs <= this.now()) wake();
  }
}
