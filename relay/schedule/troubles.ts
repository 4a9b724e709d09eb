/** Destinations that cannot even be routed (no DNS, route gone): how often in a row, and until when they rest. */
import { TtlCache } from '../deliver/ttl-cache.ts';

interface Trouble {
  readonly failures: number;
  readonly untilMs: number;
}

const maxDestinations = 50_000;
/** Longer than the longest rest. */
const rememberMs = 3_600_000;

export class Troubles {
  readonly #byDestination: TtlCache<Trouble>;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
    this.#byDestination = new TtlCache(maxDestinations, now);
  }

  /** Until when it rests; undefined when it does not. */
  restingUntilMs(destination: string): number | undefined {
    if (this.#byDestination.size === 0) return undefined;
    const trouble = this.#byDestination.get(destination);
    return trouble !== undefined && trouble.untilMs > this.#now() ? trouble.untilMs : undefined;
  }

  /** Returns until when it rests now. */
  add(destination: string, restMs: (failures: number) => number): number {
    const failures = (this.#byDestination.get(destination)?.failures ?? 0) + 1;
    const untilMs = this.#now() + restMs(failures);
    this.#byDestination.set(destination, { failures, untilMs }, rememberMs);
    return untilMs;
  }

  destinations(): string[] {
    return this.#byDestination.keys();
  }

  clear(destination: string): void {
    if (this.#byDestination.size > 0) this.#byDestination.delete(destination);
  }
}
