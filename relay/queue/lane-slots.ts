/**
 * What relays that share a queue tell each other about their lanes, so that a next hop meets one sender: how many connections each may have of
 * those that the lane may have, and when it rests. A store of one relay alone has none of this.
 */

/** What a relay says of a lane; each word takes the place of the one before. */
export interface LaneWord {
  readonly key: string;
  /** Connections that the lane may have, over all relays. */
  readonly most: number;
  /** That it has or may make before it hears an answer; at least `open`. */
  readonly holds: number;
  readonly open: number;
  /** That it has use for; what is open and unused is no use. */
  readonly wants: number;
  /** It has some that are past greeting and EHLO. */
  readonly works: boolean;
  /** A transaction went well since the last that did not. */
  readonly proven: boolean;
  /** The lane failed for this relay: all of them rest for so long. */
  readonly rest?: LaneRest;
  /** What it rested for has changed. */
  readonly mended?: true;
}

export interface LaneRest {
  readonly forMs: number;
  /** In a row. */
  readonly failures: number;
}

export interface LaneGrant {
  /** Connections that it may have open now; those above it are to be closed when they have done what they do. */
  readonly may: number;
  /** That it will have for sure, when others have ended what they may not have. */
  readonly part: number;
  /** Another relay has connections that work. */
  readonly othersWork: boolean;
  /** For all relays, whoever it was that failed: what is left of it, 0 when it is over. */
  readonly rest: LaneRest;
}

export interface LaneSlots {
  /** So long after a word was sent its grant holds; then others may have what was granted. */
  readonly grantMs: number;
  /** Where words about that lane go. What is away in one place says nothing about another. */
  placeOf(key: string): number;
  /** Words of one place; grants in their order. @throws the store's fault */
  ask(place: number, words: readonly LaneWord[]): Promise<readonly LaneGrant[]>;
}
