/** What waits for a moment; it carries its own place in the heap, so that moving or removing it needs no search. */
export interface Timed {
  wakeMs: number;
  /** -1: not in the heap. */
  heapIndex: number;
}

/** Binary heap, earliest first. */
export class Heap<T extends Timed> {
  readonly #items: T[] = [];

  get first(): T | undefined {
    return this.#items[0];
  }

  put(item: T, wakeMs: number): void {
    const earlier = item.heapIndex >= 0 && wakeMs > item.wakeMs;
    item.wakeMs = wakeMs;
    if (item.heapIndex < 0) {
      item.heapIndex = this.#items.length;
      this.#items.push(item);
    }
    if (earlier) this.#sink(item);
    else this.#rise(item);
  }

  remove(item: T): void {
    const last = this.#items.pop();
    if (last !== undefined && last !== item) {
      this.#place(last, item.heapIndex);
      this.#rise(last);
      this.#sink(last);
    }
    item.heapIndex = -1;
  }

  #place(item: T, index: number): void {
    this.#items[index] = item;
    item.heapIndex = index;
  }

  #rise(item: T): void {
    while (item.heapIndex > 0) {
      const index = item.heapIndex;
      const parent = this.#items[(index - 1) >> 1];
      if (parent === undefined || parent.wakeMs <= item.wakeMs) return;
      this.#place(item, parent.heapIndex);
      this.#place(parent, index);
    }
  }

  #sink(item: T): void {
    for (;;) {
      const index = item.heapIndex;
      const left = this.#items[2 * index + 1];
      const right = this.#items[2 * index + 2];
      const child = right !== undefined && left !== undefined && right.wakeMs < left.wakeMs ? right : left;
      if (child === undefined || child.wakeMs >= item.wakeMs) return;
      this.#place(item, child.heapIndex);
      this.#place(child, index);
    }
  }
}
