import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../relay/clock.ts';

/** The system's time, with what a test adds to it: whoever sleeps past the new time wakes. */
export class JumpingClock implements Clock {
  #aheadMs = 0;
  readonly #sleepers = new Set<{ readonly wakeTimeMs: number; readonly controller: AbortController }>();

  now(): number {
    return Date.now() + this.#aheadMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const sleeper = { wakeTimeMs: this.now() + ms, controller: new AbortController() };
    this.#sleepers.add(sleeper);
    const wake = sleeper.controller.signal;
    try {
      await delay(ms, undefined, { signal: signal === undefined ? wake : AbortSignal.any([signal, wake]) });
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      if (!wake.aborted) throw error;
    } finally {
      this.#sleepers.delete(sleeper);
    }
  }

  jump(ms: number): void {
    this.#aheadMs += ms;
    for (const { wakeTimeMs, controller } of this.#sleepers) if (wakeTimeMs <= this.now()) controller.abort();
  }
}
