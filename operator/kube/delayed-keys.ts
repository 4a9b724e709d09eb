/** Keys with a time, told when it has come, those of the same instant in the order in which they were added: a binary heap and one sleeper. */
import type { Clock } from '../../relay/clock.ts';
import { orAborted } from './deadline.ts';

interface Entry {
  readonly key: string;
  readonly dueTimeMs: number;
  /** Of its adding: a heap alone keeps no order among equals. */
  readonly sequence: number;
}

export class DelayedKeys {
  readonly #clock: Clock;
  readonly #onDue: (key: string) => void;
  readonly #onTick: () => void;
  readonly #due = new Map<string, Entry>();
  /** May hold entries that were replaced or deleted: they are passed over when they come up. */
  readonly #heap: Entry[] = [];
  #added = 0;
  #sleeper: { readonly untilMs: number; readonly controller: AbortController } | undefined;

  /** `onTick` is called now and then while it runs, whether a key is due or not. */
  constructor(clock: Clock, onDue: (key: string) => void, onTick: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#onTick = onTick;
  }

  get size(): number {
    return this.#due.size;
  }

  has(key: string): boolean {
    return this.#due.has(key);
  }

  delete(key: string): void {
    this.#due.delete(key);
    this.#compact();
  }

  /** A sooner time that is set already stays. */
  add(key: string, dueTimeMs: number): void {
    const known = this.#due.get(key);
    if (known !== undefined && known.dueTimeMs <= dueTimeMs) return;
    const entry = { key, dueTimeMs, sequence: ++this.#added };
    this.#due.set(key, entry);
    this.#push(entry);
    this.#compact();
    if (this.#sleeper !== undefined && dueTimeMs < this.#sleeper.untilMs) this.#sleeper.controller.abort();
  }

  /** Tells due keys until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#tellDue();
      this.#onTick();
      const next = this.#heap[0];
      // Nothing waits: woken by add(), so any time far off will do. A wall clock that is set is noticed within this, too.
      const waitMs = Math.min(longestSleepMs, next === undefined ? longestSleepMs : next.dueTimeMs - this.#clock.now());
      const controller = new AbortController();
      const stop = (): void => controller.abort();
      signal.addEventListener('abort', stop, { once: true });
      this.#sleeper = { untilMs: this.#clock.now() + waitMs, controller };
      // Woken by add(), or by the end.
      await orAborted(this.#clock.sleep(Math.max(1, waitMs), controller.signal), controller.signal);
      signal.removeEventListener('abort', stop);
      this.#sleeper = undefined;
    }
  }

  #tellDue(): void {
    for (let next = this.#heap[0]; next !== undefined; next = this.#heap[0]) {
      const isCurrent = this.#due.get(next.key) === next;
      if (isCurrent && next.dueTimeMs > this.#clock.now()) return;
      this.#pop();
      if (!isCurrent) continue;
      this.#due.delete(next.key);
      this.#onDue(next.key);
    }
  }

  /** Replaced entries never outnumber the living by more than this. */
  #compact(): void {
    if (this.#heap.length < 2 * this.#due.size + 64) return;
    this.#heap.length = 0;
    for (const entry of this.#due.values()) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      if (parent === undefined || !isSooner(entry, parent)) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const childAt = isSooner(heap[left + 1], heap[left]) ? left + 1 : left;
      const child = heap[childAt];
      if (child === undefined || !isSooner(child, last)) break;
      heap[at] = child;
      at = childAt;
    }
    heap[at] = last;
  }
}

const longestSleepMs = 15_000;

function isSooner(one: Entry | undefined, other: Entry | undefined): boolean {
  if (one === undefined || other === undefined) return one !== undefined;
  return one.dueTimeMs < other.dueTimeMs || (one.dueTimeMs === other.dueTimeMs && one.sequence < other.sequence);
}
