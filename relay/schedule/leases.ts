/** Renews the leases of what is held, well before they end, so that a slow next hop does not make a second delivery start. */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Queue } from '../queue/queue.ts';
import type { Held, HeldClaims } from './held.ts';

/** A relay that dies leaves its mail to the next one after at most this time. */
export const leaseMs = 120_000;
const checkEveryMs = leaseMs / 6;
const renewBeforeMs = leaseMs / 2;
const maxTokens = 500;
const neverAnEra = -1;

export interface LeaseDeps {
  readonly queue: Pick<Queue, 'renew' | 'leaseEra'>;
  readonly held: HeldClaims;
  readonly clock: Clock;
  readonly log: Log;
}

export class LeaseKeeper {
  readonly #deps: LeaseDeps;
  #checkedMs: number;
  #confirming = false;

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

  /** Whether its delivery may begin: others may have what is held by a relay that stood still, or was not heard for long. */
  isSure({ leaseEra }: Held): boolean {
    const { queue } = this.#deps;
    return queue.leaseEra === undefined || queue.leaseEra() === leaseEra;
  }

  /** Asks which of all that is held is still ours, unless that is being asked. Returns whether it is known now; else all is as unsure as before. */
  async confirm(): Promise<boolean> {
    if (this.#confirming) return false;
    this.#confirming = true;
    try {
      return await this.#confirmAll();
    } finally {
      this.#confirming = false;
    }
  }

  async #confirmAll(): Promise<boolean> {
    const { queue, log } = this.#deps;
    try {
      // An era first: what is asked before it says nothing about it.
      if (queue.leaseEra?.() === undefined) await queue.renew([], leaseMs);
    } catch (cause) {
      log.error({ err: cause }, 'leases could not be confirmed; tried again shortly');
      return false;
    }
    return await this.#renew(Number.POSITIVE_INFINITY);
  }

  async #renew(withinMs = renewBeforeMs): Promise<boolean> {
    const { queue, held, clock, log } = this.#deps;
    this.#checkedMs = clock.now();
    let all = true;
    const ending = held.endingBefore(this.#checkedMs + withinMs);
    for (let from = 0; from < ending.length; from += maxTokens) {
      const tokens = ending.slice(from, from + maxTokens);
      try {
        const leaseExpiryTimeMs = clock.now() + leaseMs;
        // Before it is asked: of what follows an answer says nothing.
        const leaseEra = queue.leaseEra?.() ?? neverAnEra;
        const lost = await queue.renew(tokens, leaseMs);
        held.renewed(tokens, lost, { leaseExpiryTimeMs, leaseEra });
        if (lost.length > 0) log.warn({ count: lost.length }, 'leases lost: somebody else delivers these messages');
      } catch (cause) {
        log.error({ err: cause, count: tokens.length }, 'leases could not be renewed; tried again shortly');
        all = false;
      }
    }
    return all;
  }
}
