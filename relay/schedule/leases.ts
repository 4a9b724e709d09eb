/** Renews the leases of what is held, well before they end, so that a slow next hop does not make a second delivery start. */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Queue } from '../queue/queue.ts';
import type { HeldClaims } from './held.ts';

/** A relay that dies leaves its mail to the next one after at most this time. */
export const leaseMs = 120_000;
const checkEveryMs = leaseMs / 6;
const renewBeforeMs = leaseMs / 2;
const maxTokens = 500;

export interface LeaseDeps {
  readonly queue: Pick<Queue, 'renew' | 'leasesAreSure'>;
  readonly held: HeldClaims;
  readonly clock: Clock;
  readonly log: Log;
}

export class LeaseKeeper {
  readonly #deps: LeaseDeps;
  #checkedMs: number;
  #confirming: Promise<void> | undefined;

  constructor(deps: LeaseDeps) {
    this.#deps = deps;
    this.#checkedMs = deps.clock.now();
  }

  /** Until the signal ends it. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#deps.clock.sleep(checkEveryMs, signal);
      await this.#renew();
    }
  }

  /**
   * To be awaited before a claim, which takes back what is under leases that are over: after the process was stopped, or the clock
   * set, those are leases of mail that is on its way.
   */
  async catchUp(): Promise<void> {
    const sinceMs = this.#deps.clock.now() - this.#checkedMs;
    if (sinceMs < 0 || sinceMs > 2 * checkEveryMs) await this.#renew();
  }

  /** Whether deliveries may begin: others may have what is held by a relay that stood still, or was not heard for long. */
  get sure(): boolean {
    return this.#confirming === undefined && (this.#deps.queue.leasesAreSure?.() ?? true);
  }

  /** Asks which of all that is held is still ours. When that fails they are as unsure as before. */
  confirm(): Promise<void> {
    this.#confirming ??= this.#renew(Number.POSITIVE_INFINITY).finally(() => {
      this.#confirming = undefined;
    });
    return this.#confirming;
  }

  async #renew(withinMs = renewBeforeMs): Promise<void> {
    const { queue, held, clock, log } = this.#deps;
    this.#checkedMs = clock.now();
    const ending = held.endingBefore(this.#checkedMs + withinMs);
    for (let from = 0; from < ending.length; from += maxTokens) {
      const tokens = ending.slice(from, from + maxTokens);
      try {
        const untilMs = clock.now() + leaseMs;
        const lost = await queue.renew(tokens, leaseMs);
        held.renewed(tokens, lost, untilMs);
        if (lost.length > 0) log.warn({ count: lost.length }, 'leases lost: somebody else delivers these messages');
      } catch (cause) {
        log.error({ err: cause, count: tokens.length }, 'leases could not be renewed; tried again shortly');
      }
    }
  }
}
