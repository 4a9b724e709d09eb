/**
 * Whose turn it is to have names looked up. Name servers are whose the domains are: some that never answer may cost their own namespace time,
 * and nobody else.
 */

/** Of all names under way (record-watch.ts), those that one namespace may have. */
const mostOfOne = 8;

interface Line {
  running: number;
  /** Keys, in the order in which they came. */
  readonly waiting: Set<string>;
}

export class LookTurns {
  readonly #lines = new Map<string, Line>();
  readonly #again: (key: string) => void;
  readonly #most: number;

  /** `again` is told of a key that waited, once there is room. */
  constructor(again: (key: string) => void, most: number = mostOfOne) {
    this.#again = again;
    this.#most = most;
  }

  /** Returns what is to be called at the end; undefined: the namespace has as many under way as it may, and the key waits. */
  take(namespace: string, key: string): (() => void) | undefined {
    const line = this.#lines.get(namespace) ?? { running: 0, waiting: new Set() };
    this.#lines.set(namespace, line);
    if (line.running >= this.#most) {
      line.waiting.add(key);
      return undefined;
    }
    line.waiting.delete(key);
    line.running += 1;
    return () => this.#leave(namespace, line);
  }

  #leave(namespace: string, line: Line): void {
    line.running -= 1;
    const [next] = line.waiting;
    if (next !== undefined) {
      line.waiting.delete(next);
      this.#again(next);
    } else if (line.running === 0) this.#lines.delete(namespace);
  }
}
