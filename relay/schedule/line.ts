/**
 * What waits for a connection, in order. Nothing is begun of what others may have by now; where nobody answers whose it is, it stands aside until
 * somebody does, so that the line is not full of it.
 */
import type { Held } from './held.ts';
import type { LaneHost } from './lane-host.ts';

export class Line {
  readonly #host: Pick<LaneHost, 'sure' | 'unheard'>;
  #waiting: Held[] = [];
  #aside: Held[] = [];

  constructor(host: Pick<LaneHost, 'sure' | 'unheard'>) {
    this.#host = host;
  }

  /** Without what stands aside. */
  get length(): number {
    return this.#waiting.length;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#aside.length === 0;
  }

  push(held: Held): void {
    this.#waiting.push(held);
  }

  /** To its front. */
  putBack(held: Held): void {
    this.#waiting.unshift(held);
  }

  /** The first that is lost, or ours for sure. It stays until it is taken. */
  next(): Held | undefined {
    for (let at = 0; at < this.#waiting.length; ) {
      const held = this.#waiting[at];
      if (held === undefined || held.lost || this.#host.sure(held)) return held;
      if (this.#host.unheard(held)) this.#aside.push(...this.#waiting.splice(at, 1));
      else at += 1;
    }
    return undefined;
  }

  take(held: Held): void {
    if (this.#waiting[0] === held) this.#waiting.shift();
    else this.#waiting.splice(this.#waiting.indexOf(held), 1);
  }

  first(): Held | undefined {
    return this.#waiting.shift();
  }

  /** What stood aside and is known now waits again, before the others. */
  recall(): void {
    if (this.#aside.length === 0) return;
    const known = this.#aside.filter(held => held.lost || this.#host.sure(held));
    if (known.length === 0) return;
    const back = new Set(known);
    this.#aside = this.#aside.filter(held => !back.has(held));
    this.#waiting.unshift(...known);
  }

  takeAll(): Held[] {
    const all = [...this.#aside, ...this.#waiting];
    this.#aside = [];
    this.#waiting = [];
    return all;
  }
}
