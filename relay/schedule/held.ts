/** The claims in memory: waiting in a lane, under way, or being settled. Bounded in number and bytes; their leases are renewed. */
import type { Claim } from '../queue/queue.ts';

export interface Held {
  readonly claim: Claim;
  readonly sizeBytes: number;
  leaseExpiryTimeMs: number;
  /** In which the lease was known as ours last. */
  leaseEra: number;
  /** The lease is no longer ours: somebody else delivers it. */
  lost: boolean;
  /** It is tried, or was: it no longer waits in a line. */
  begun: boolean;
  /** It was tried on a connection that was dead already, which does not count; the second time it does. */
  retriedStale: boolean;
}

export interface HeldBounds {
  readonly maxClaims: number;
  readonly maxBytes: number;
}

export class HeldClaims {
  readonly #byToken = new Map<string, Held>();
  readonly bounds: HeldBounds;
  readonly #onRoom: () => void;
  readonly #whenEmpty: (() => void)[] = [];
  #bytes = 0;

  /** `onRoom` is called when there is room to claim more again. */
  constructor(bounds: HeldBounds, onRoom: () => void) {
    this.bounds = bounds;
    this.#onRoom = onRoom;
  }

  get count(): number {
    return this.#byToken.size;
  }

  /** Whether one more may be born leased. */
  get hasRoom(): boolean {
    return this.#byToken.size < this.bounds.maxClaims && this.#bytes < this.bounds.maxBytes;
  }

  /** Whether to claim more from the store; short of the bounds, so that what accept brings still has room. */
  get wantsMore(): boolean {
    return this.#byToken.size < this.bounds.maxClaims * 0.75 && this.#bytes < this.bounds.maxBytes * 0.5;
  }

  /** How long a single lane's line may be now: the less room there is, the less one lane may take of it. */
  get laneShare(): number {
    return Math.max(0, (this.bounds.maxClaims - this.#byToken.size) / 8);
  }

  add(claim: Claim): Held {
    const sizeBytes = claim.head.length + (claim.content.bytes?.length ?? 0);
    const held: Held = {
      claim,
      sizeBytes,
      leaseExpiryTimeMs: claim.leaseExpiryTimeMs,
      leaseEra: claim.leaseEra ?? 0,
      lost: false,
      begun: false,
      retriedStale: false,
    };
    this.#byToken.set(claim.token, held);
    this.#bytes += sizeBytes;
    return held;
  }

  remove(held: Held): void {
    const wantedMore = this.wantsMore;
    if (!this.#byToken.delete(held.claim.token)) return;
    this.#bytes -= held.sizeBytes;
    if (!wantedMore && this.wantsMore) this.#onRoom();
    if (this.#byToken.size > 0 || this.#whenEmpty.length === 0) return;
    for (const tell of this.#whenEmpty.splice(0)) tell();
  }

  async empty(): Promise<void> {
    if (this.#byToken.size > 0) await new Promise<void>(resolve => this.#whenEmpty.push(resolve));
  }

  /** Due time of the longest overdue one that nobody has begun to deliver: the queue no longer sees that it waits. */
  get oldestDueTimeMs(): number | undefined {
    let oldest: number | undefined;
    for (const { claim, begun } of this.#byToken.values()) {
      if (!begun && (oldest === undefined || claim.dueTimeMs < oldest)) oldest = claim.dueTimeMs;
    }
    return oldest;
  }

  /** Tokens of leases that end before `timeMs`. */
  endingBefore(timeMs: number): string[] {
    const tokens: string[] = [];
    for (const [token, held] of this.#byToken) if (!held.lost && held.leaseExpiryTimeMs < timeMs) tokens.push(token);
    return tokens;
  }

  /** What nobody has begun and whose lease was over by then, so that anybody may have it: lost. */
  giveUp(tokens: readonly string[], timeMs: number): void {
    for (const token of tokens) {
      const held = this.#byToken.get(token);
      if (held !== undefined && !held.begun && held.leaseExpiryTimeMs <= timeMs) held.lost = true;
    }
  }

  renewed(
    tokens: readonly string[],
    lostTokens: readonly string[],
    now: Pick<Held, 'leaseExpiryTimeMs' | 'leaseEra'>,
  ): void {
    for (const token of tokens) {
      const held = this.#byToken.get(token);
      if (held === undefined) continue;
      held.leaseExpiryTimeMs = now.leaseExpiryTimeMs;
      held.leaseEra = now.leaseEra;
    }
    for (const token of lostTokens) {
      const held = this.#byToken.get(token);
      if (held !== undefined) held.lost = true;
    }
  }
}
