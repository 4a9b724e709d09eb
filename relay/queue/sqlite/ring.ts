/** Takes turns. Linked, because an ordered Set walks over the holes of everything that has left its front. */
export interface Linked<T> {
  before: T | undefined;
  behind: T | undefined;
  inRing: boolean;
}

export class Ring<T extends Linked<T>> {
  #first: T | undefined;
  #last: T | undefined;
  size = 0;

  get first(): T | undefined {
    return this.#first;
  }

  /** To the end of the line; does nothing for who stands in it. */
  push(item: T): void {
    if (item.inRing) return;
    item.before = this.#last;
    item.behind = undefined;
    if (this.#last === undefined) this.#first = item;
    else this.#last.behind = item;
    this.#last = item;
    item.inRing = true;
    this.size += 1;
  }

  remove(item: T): void {
    if (!item.inRing) return;
    if (item.before === undefined) this.#first = item.behind;
    else item.before.behind = item.behind;
    if (item.behind === undefined) this.#last = item.before;
    else item.behind.before = item.before;
    item.before = undefined;
    item.behind = undefined;
    item.inRing = false;
    this.size -= 1;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let item = this.#first; item !== undefined; item = item.behind) yield item;
  }
}
