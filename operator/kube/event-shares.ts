import type { Clock } from '../../relay/clock.ts';

export interface EventLimits {
  /** The same again within this adds to the count; later it is a new Event. */
  readonly windowMs: number;
  /** Different notes of one object and reason within a window; then they are combined. */
  readonly notes: number;
  /** Sent at once for one object; and after how long it may send one more. */
  readonly burst: number;
  readonly refillMs: number;
  /** Objects and events that are remembered, and events that wait. */
  readonly remembered: number;
  readonly waiting: number;
}

export const combinedNote = '(combined from similar events) ';

interface Share {
  tokens: number;
  filledTimeMs: number;
  /** Reason -> the notes of this window. */
  readonly notes: Map<string, Notes>;
}

interface Notes {
  readonly sinceMs: number;
  readonly seen: Set<string>;
}

/** Reasons of one object whose notes are told apart. */
const mostReasons = 32;

/** How much each object may say. */
export class EventShares {
  readonly #clock: Clock;
  readonly #limits: EventLimits;
  readonly #shares = new Map<string, Share>();

  constructor(clock: Clock, limits: EventLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** False: it has said its part for now. */
  spend(uid: string): boolean {
    const share = this.#shareOf(uid);
    if (share.tokens < 1) return false;
    share.tokens -= 1;
    return true;
  }

  /** The note to tell: past so many different ones for one reason, all further ones are told as one. */
  combine(uid: string, { reason, note }: { readonly reason: string; readonly note: string }): string {
    const { notes } = this.#shareOf(uid);
    const { sinceMs, seen } = this.#currentNotes(notes, reason);
    notes.delete(reason);
    notes.set(reason, { sinceMs, seen });
    forgetOldest(notes, mostReasons);
    if (!seen.has(note) && seen.size >= this.#limits.notes) return combinedNote + note;
    seen.add(note);
    return note;
  }

  #currentNotes(notes: Share['notes'], reason: string): Notes {
    const known = notes.get(reason);
    if (known !== undefined && this.#clock.now() - known.sinceMs < this.#limits.windowMs) return known;
    return { sinceMs: this.#clock.now(), seen: new Set() };
  }

  #shareOf(uid: string): Share {
    const { burst, refillMs, remembered } = this.#limits;
    const nowMs = this.#clock.now();
    const share = this.#shares.get(uid) ?? { tokens: burst, filledTimeMs: nowMs, notes: new Map() };
    this.#shares.delete(uid);
    this.#shares.set(uid, share);
    forgetOldest(this.#shares, remembered);
    const refilled = Math.floor(Math.max(0, nowMs - share.filledTimeMs) / refillMs);
    share.tokens = Math.min(burst, share.tokens + refilled);
    share.filledTimeMs += refilled * refillMs;
    return share;
  }
}

/** Maps keep the order of their insertions. */
export function forgetOldest(map: Map<string, unknown>, most: number): void {
  if (map.size <= most) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
