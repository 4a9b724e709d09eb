/** A lane's part of the connections to its next hop, when other relays send there, too. Knows no clock but the one that it is given, and asks nobody. */
import type { LaneGrant, LaneRest, LaneWord } from '../queue/lane-slots.ts';

/** What a lane sees of it. */
export interface LaneShare {
  /** Connections that it may have open now. */
  readonly may: number;
  /** Another relay has connections there that work. */
  readonly othersWork: boolean;
  /** It would have more than it may. */
  want(): void;
  /** So many are in use at a time. */
  used(connections: number): void;
  /** The others should hear soon how it is now. */
  changed(): void;
  rested(rest: LaneRest): void;
  /** What it rested for has changed. */
  mended(): void;
}

/** What it asks of its lane. */
export interface LaneMember {
  readonly key: string;
  /** Left out of a word: what its share adds. */
  word(): Omit<LaneWord, 'key' | 'holds' | 'rest' | 'mended'>;
  /** It may have more or less than before. */
  onShare(): void;
  /** How all relays see it: for how long it rests still, and why so long. */
  onRest(rest: LaneRest): void;
  /** All connections are with others, and have been for a while. */
  onStarved(): void;
}

/** Of a next hop that nobody else sends to. */
export const wholeShare: LaneShare = {
  may: Number.POSITIVE_INFINITY,
  othersWork: false,
  want: () => undefined,
  used: () => undefined,
  changed: () => undefined,
  rested: () => undefined,
  mended: () => undefined,
};

/** Others hear of what happens here, and this lane of others, within this. */
const sayEveryMs = 1000;
/** While it has not what it wants, or more than it may. */
const askEveryMs = 250;
/** Connections in use a moment ago count as wanted: mail comes in bursts, and what one ends another has to make anew. */
const usedWithinMs = 1000;
/** Longer than unused connections of others take to be closed. */
const starvedAfterMs = 3000;
/** Where others have to end theirs when a delivery is done. */
const starvedOfPartAfterMs = 30_000;

export interface ShareDeps {
  /** Never set back, and goes on while the process is stopped. */
  readonly monotonicMs: () => number;
  readonly grantMs: number;
  /** Where it is asked for. */
  readonly place: number;
  /** It is due sooner than it was. */
  readonly onDue: (share: MemberShare) => void;
}

export class MemberShare implements LaneShare {
  readonly #member: LaneMember;
  readonly #deps: ShareDeps;
  #granted = 0;
  #sureUntilMs = Number.NEGATIVE_INFINITY;
  #othersWork = false;
  #dueMs = Number.POSITIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #askedWants = 0;
  /** Most in use at a time: since then, and in the time before. */
  #used = { sinceMs: Number.NEGATIVE_INFINITY, now: 0, before: 0 };
  #starvingSinceMs: number | undefined;
  #rest: LaneRest | undefined;
  #mended = false;

  constructor(member: LaneMember, deps: ShareDeps) {
    this.#member = member;
    this.#deps = deps;
  }

  /** What was granted last still holds: nobody else can have it. */
  get sure(): boolean {
    return this.#deps.monotonicMs() < this.#sureUntilMs;
  }

  get may(): number {
    return this.sure ? this.#granted : 0;
  }

  get othersWork(): boolean {
    return this.#othersWork;
  }

  get dueMs(): number {
    return this.#dueMs;
  }

  get place(): number {
    return this.#deps.place;
  }

  get key(): string {
    return this.#member.key;
  }

  want(): void {
    const more = this.#member.word().wants > this.#askedWants;
    this.#dueAt(more ? this.#deps.monotonicMs() : this.#askedMs + askEveryMs);
  }

  used(connections: number): void {
    this.#used.now = Math.max(this.#used.now, connections);
  }

  changed(): void {
    this.#dueAt(this.#deps.monotonicMs());
  }

  rested(rest: LaneRest): void {
    this.#rest = rest;
    this.#mended = false;
    this.changed();
  }

  mended(): void {
    this.#rest = undefined;
    this.#mended = true;
    this.changed();
  }

  /** What is to be said now. Until the answer it has no more than it says that it holds. */
  word(): LaneWord {
    const word = this.#ownWord();
    const holds = Math.max(word.open, Math.min(this.may, word.wants));
    this.#granted = Math.min(this.#granted, holds);
    this.#askedMs = this.#deps.monotonicMs();
    this.#askedWants = word.wants;
    this.#dueMs = Number.POSITIVE_INFINITY;
    const { key } = this.#member;
    const rest = this.#rest;
    return { ...word, key, holds, ...(rest === undefined ? {} : { rest }), ...(this.#mended ? { mended: true } : {}) };
  }

  #ownWord(): ReturnType<LaneMember['word']> {
    const word = this.#member.word();
    const now = this.#deps.monotonicMs();
    const { sinceMs, now: most, before } = this.#used;
    const wants = Math.max(word.wants, Math.min(word.open, Math.max(most, before)));
    if (now - sinceMs >= usedWithinMs) this.#used = { sinceMs: now, now: 0, before: most };
    return { ...word, wants };
  }

  /** The answer to a word that was said at that time. Returns whether there is more to be said later. */
  take(word: LaneWord, grant: LaneGrant, saidMs: number): boolean {
    this.#granted = grant.may;
    this.#sureUntilMs = saidMs + this.#deps.grantMs;
    this.#othersWork = grant.othersWork;
    if (this.#rest === word.rest) this.#rest = undefined;
    if (word.mended === true) this.#mended = false;
    if (!this.#mended) this.#member.onRest(grant.rest);
    this.#member.onShare();
    this.#starve(grant);
    const { open, wants } = this.#member.word();
    const now = this.#deps.monotonicMs();
    if (open > 0 || wants > 0) this.#dueAt(now + (open > grant.may || wants > grant.may ? askEveryMs : sayEveryMs));
    return this.#dueMs < Number.POSITIVE_INFINITY;
  }

  /** No answer: it says all of it again. */
  untold(pauseMs: number): void {
    this.#dueAt(this.#deps.monotonicMs() + pauseMs);
  }

  #starve({ may, rest, part }: LaneGrant): void {
    const now = this.#deps.monotonicMs();
    if (may > 0 || rest.forMs > 0 || this.#member.word().wants === 0) {
      this.#starvingSinceMs = undefined;
      return;
    }
    this.#starvingSinceMs ??= now;
    if (now - this.#starvingSinceMs < (part > 0 ? starvedOfPartAfterMs : starvedAfterMs)) return;
    this.#starvingSinceMs = undefined;
    this.#member.onStarved();
  }

  #dueAt(timeMs: number): void {
    if (timeMs >= this.#dueMs) return;
    this.#dueMs = timeMs;
    this.#deps.onDue(this);
  }
}
