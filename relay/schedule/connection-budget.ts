/** Connections of all lanes together (G7). A lane that gets none is told when one is free, in the order of asking. */
export interface BudgetUser {
  /** Gives back an unused connection, if it has one. */
  evictIdle(): boolean;
  /** A connection is free. */
  pump(): void;
}

export class ConnectionBudget {
  #open = 0;
  readonly #max: () => number;
  readonly #waiting = new Set<BudgetUser>();
  /** Lanes with unused connections, the one that has had them longest first. */
  readonly #withIdle = new Set<BudgetUser>();

  constructor(max: () => number) {
    this.#max = max;
  }

  get open(): number {
    return this.#open;
  }

  /** Whether others wait: then connections are not kept for what may come. */
  get scarce(): boolean {
    return this.#waiting.size > 0;
  }

  acquire(user: BudgetUser): boolean {
    if (this.#open >= this.#max() && !this.#evict()) {
      this.#waiting.add(user);
      return false;
    }
    this.#waiting.delete(user);
    this.#open += 1;
    return true;
  }

  release(): void {
    this.#open -= 1;
    // Each is asked once; one that still gets none stands in line again.
    while (this.#open < this.#max()) {
      const next = this.#waiting.values().next();
      if (next.done === true) return;
      this.#waiting.delete(next.value);
      next.value.pump();
    }
  }

  hasIdle(user: BudgetUser, has: boolean): void {
    if (has) this.#withIdle.add(user);
    else this.#withIdle.delete(user);
  }

  forget(user: BudgetUser): void {
    this.#waiting.delete(user);
    this.#withIdle.delete(user);
  }

  /** The connection comes back through release(), which may hand it to one that waits longer. */
  #evict(): boolean {
    if (this.#waiting.size > 0) return false;
    const oldest = this.#withIdle.values().next();
    if (oldest.done === true) return false;
    oldest.value.evictIdle();
    return this.#open < this.#max();
  }
}
