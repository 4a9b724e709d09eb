/**
 * How many connections a lane may have: doubles while all goes well until it once met trouble, then grows by one a round;
 * halves on trouble (as TCP does, for the same reason: the next hop's capacity is unknown and shared).
 */
const initialLimit = 5;

export class Concurrency {
  #limit: number;
  #threshold = Number.POSITIVE_INFINITY;
  readonly #max: () => number;

  /** The configured limit is asked for each time: a reload may change it. */
  constructor(max: () => number) {
    this.#max = max;
    this.#limit = Math.min(initialLimit, max());
  }

  /** At least 1. */
  get limit(): number {
    return Math.max(1, Math.floor(Math.min(this.#limit, this.#max())));
  }

  onSuccess(): void {
    const max = this.#max();
    if (this.#limit < max)
      this.#limit = Math.min(max, this.#limit + (this.#limit < this.#threshold ? 1 : 1 / this.#limit));
  }

  onTrouble(): void {
    this.#limit = Math.max(1, Math.min(this.#limit, this.#max()) / 2);
    this.#threshold = this.#limit;
  }

  /** After a rest: one connection finds out. */
  onRest(): void {
    this.#threshold = Math.max(1, this.#limit / 2);
    this.#limit = 1;
  }
}
