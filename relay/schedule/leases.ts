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
  readonly queue: Pick<Queue, 'renew' | 'leaseEra' | 'leasePart'>;
  readonly held: HeldClaims;
  readonly clock: Clock;
  readonly log: Log;
}

export class LeaseKeeper {
  readonly #deps: LeaseDeps;
  #checkedMs: number;
  /** Parts that are being asked about, and such as did not answer when they were last. */
  readonly #confirming = new Set<number>();
  readonly #unheard = new Set<number>();

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
  isSure({ claim, leaseEra }: Held): boolean {
    const { queue } = this.#deps;
    return queue.leaseEra === undefined || queue.leaseEra(this.#partOf(claim.token)) === leaseEra;
  }

  /** Whose it is was asked, and nobody answered: that may take long. */
  isUnheard({ claim }: Held): boolean {
    return this.#unheard.has(this.#partOf(claim.token));
  }

  /**
   * Asks which of what is held of the same part of the queue is still ours, unless that is being asked. Returns whether it is known now; else all of
   * it is as unsure as before.
   */
  async confirm({ claim }: Held): Promise<boolean> {
    const part = this.#partOf(claim.token);
    if (this.#confirming.has(part)) return false;
    this.#confirming.add(part);
    const known = await this.#confirmPart(part);
    this.#confirming.delete(part);
    if (known) this.#unheard.delete(part);
    else this.#unheard.add(part);
    return known;
  }

  /** Never rejects. */
  async #confirmPart(part: number): Promise<boolean> {
    const { queue, held, log } = this.#deps;
    const tokens = held.endingBefore(Number.POSITIVE_INFINITY).filter(token => this.#partOf(token) === part);
    try {
      // An era first: what is asked before it says nothing about it.
      if (queue.leaseEra?.(part) === undefined) await queue.renew(tokens.slice(0, 1), leaseMs);
    } catch (cause) {
      log.error({ err: cause, part }, 'leases could not be confirmed; tried again shortly');
      return false;
    }
    return await this.#renewPart(part, tokens);
  }

  async #renew(): Promise<void> {
    const { held, clock } = this.#deps;
    this.#checkedMs = clock.now();
    const byPart = Map.groupBy(held.endingBefore(this.#checkedMs + renewBeforeMs), token => this.#partOf(token));
    await Promise.all([...byPart].map(([part, tokens]) => this.#renewPart(part, tokens)));
  }

  /** Whether all were asked about. Never rejects. */
  async #renewPart(part: number, all: readonly string[]): Promise<boolean> {
    const { queue, held, clock, log } = this.#deps;
    for (let from = 0; from < all.length; from += maxTokens) {
      const tokens = all.slice(from, from + maxTokens);
      try {
        const leaseExpiryTimeMs = clock.now() + leaseMs;
        // Before it is asked: of what follows an answer says nothing.
        const leaseEra = queue.leaseEra?.(part) ?? neverAnEra;
        const lost = await queue.renew(tokens, leaseMs);
        held.renewed(tokens, lost, { leaseExpiryTimeMs, leaseEra });
        if (lost.length > 0) log.warn({ count: lost.length }, 'leases lost: somebody else delivers these messages');
      } catch (cause) {
        // Who does not answer now is not asked about the rest of them either.
        const count = all.length - from;
        log.error({ err: cause, part, count }, 'leases could not be renewed; tried again shortly');
        // Else mail of a part that is away would keep that of all others out.
        if (!held.wantsMore) held.giveUp(all, clock.now());
        return false;
      }
    }
    return true;
  }

  #partOf(token: string): number {
    return this.#deps.queue.leasePart?.(token) ?? 0;
  }
}
