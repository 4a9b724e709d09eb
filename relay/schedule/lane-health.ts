/** How a next hop fares: how many connections it is trusted with, and whether it rests. Knows no connection and no message. */
import type { LaneRest } from '../queue/lane-slots.ts';
import { Concurrency } from './concurrency.ts';
import type { LaneHost } from './lane-host.ts';

const connectPauseMs = 1000;
/** So many transactions in a row that broke the connection, and the lane rests: each costs its message an attempt. */
const maxFaultsInARow = 5;

export class LaneHealth {
  readonly #host: Pick<LaneHost, 'now' | 'restMs'>;
  readonly #concurrency: Concurrency;
  #failures = 0;
  #faultsInARow = 0;
  #restUntilMs = 0;
  #connectAfterMs = 0;
  /** It has done well since it last failed. */
  #proven = false;

  constructor(host: Pick<LaneHost, 'now' | 'restMs' | 'limits'>) {
    this.#host = host;
    this.#concurrency = new Concurrency(() => host.limits.maxConnections);
  }

  get resting(): boolean {
    return this.#restUntilMs > this.#host.now();
  }

  get restUntilMs(): number {
    return this.#restUntilMs;
  }

  /** Failed when last tried. */
  get troubled(): boolean {
    return this.#failures > 0;
  }

  get proven(): boolean {
    return this.#proven;
  }

  /** How many connections it is trusted with now. */
  get limit(): number {
    return this.#concurrency.limit;
  }

  get mayConnect(): boolean {
    return this.#host.now() >= this.#connectAfterMs;
  }

  onSuccess(): void {
    this.#proven = true;
    this.#failures = 0;
    this.#faultsInARow = 0;
    this.#concurrency.onSuccess();
  }

  /** Returns whether it is to rest. */
  onConnectFailure({ othersTry }: { readonly othersTry: boolean }): boolean {
    this.#concurrency.onTrouble();
    // While others work, the next hop limits how many, and nobody is to blame; while others try, the last of them decides: five
    // that fail together are one failure. And one that fails after all went well is looked at once more.
    const rests = !othersTry && !this.#proven;
    if (!othersTry) this.#proven = false;
    if (!rests) this.#connectAfterMs = this.#host.now() + connectPauseMs;
    return rests;
  }

  /** A transaction broke its connection. `closing`: it was the last one, and the next hop said 421. Returns whether it is to rest. */
  onFault({ closing }: { readonly closing: boolean }): boolean {
    this.#faultsInARow += 1;
    this.#concurrency.onTrouble();
    return this.#faultsInARow >= maxFaultsInARow || closing;
  }

  rest(): LaneRest {
    const failures = this.#failures + 1;
    const rest = { failures, forMs: this.#host.restMs(failures) };
    this.restAs(rest);
    return rest;
  }

  /** As another relay found out that it must. */
  restAs({ forMs, failures }: LaneRest): void {
    if (forMs === 0) {
      // Its rest is over, and nothing went well since.
      if (!this.#proven) this.#failures = Math.max(this.#failures, failures);
      return;
    }
    this.#failures = failures;
    this.#proven = false;
    this.#restUntilMs = this.#host.now() + forMs;
    this.#concurrency.onRest();
  }

  /** What it failed for has changed: as if it had not been tried. */
  endRest(): void {
    this.#failures = 0;
    this.#restUntilMs = 0;
    this.#connectAfterMs = 0;
  }
}
