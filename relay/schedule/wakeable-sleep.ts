/** A sleep that ends early when something becomes due sooner. One sleeper; being woken while awake makes the next sleep short. */
import type { Clock } from '../clock.ts';

export class WakeableSleep {
  readonly #clock: Clock;
  #wakeTimeMs = Number.POSITIVE_INFINITY;
  #untilMs = 0;
  #sleeping: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** At most until that time; returns at once when something was due while the sleeper was awake. */
  async until(timeMs: number): Promise<void> {
    this.#untilMs = Math.min(timeMs, this.#wakeTimeMs);
    this.#wakeTimeMs = Number.POSITIVE_INFINITY;
    const leftMs = this.#untilMs - this.#clock.now();
    if (leftMs <= 0) return;
    const sleeping = new AbortController();
    this.#sleeping = sleeping;
    try {
      await this.#clock.sleep(leftMs, sleeping.signal);
    } catch (cause) {
      if (!sleeping.signal.aborted) throw cause;
    } finally {
      this.#sleeping = undefined;
    }
  }

  wakeAt(timeMs: number): void {
    if (this.#sleeping === undefined) {
      this.#wakeTimeMs = Math.min(this.#wakeTimeMs, timeMs);
    } else if (timeMs < this.#untilMs) {
      this.#wakeTimeMs = Math.min(this.#wakeTimeMs, timeMs);
      this.#sleeping.abort();
    }
  }

  wake(): void {
    this.wakeAt(Number.NEGATIVE_INFINITY);
  }
}
