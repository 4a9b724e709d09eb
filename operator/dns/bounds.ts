/** What keeps look-ups from taking all memory, all sockets, or all of somebody else's server. */

/** Kept until their time is over; the oldest goes when there are too many. Who asks meanwhile waits for the same answer. */
export class TimedCache<Value> {
  readonly #most: number;
  readonly #now: () => number;
  readonly #entries = new Map<string, { readonly value: Promise<Value>; untilMs: number }>();

  constructor(most: number, now: () => number) {
    this.#most = most;
    this.#now = now;
  }

  /** `lifeMs` says how long an answer serves; what fails is not kept. */
  async get(key: string, make: () => Promise<Value>, lifeMs: (value: Value) => number): Promise<Value> {
    const known = this.#entries.get(key);
    if (known !== undefined && known.untilMs > this.#now()) return await known.value;
    const entry = { value: make(), untilMs: Number.POSITIVE_INFINITY };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#most && oldest !== undefined) this.#entries.delete(oldest);
    try {
      const value = await entry.value;
      entry.untilMs = this.#now() + lifeMs(value);
      return value;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    }
  }
}

/** At most so many at a time; the others wait in order. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atATime: number) {
    this.#free = atATime;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>(resolve => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
