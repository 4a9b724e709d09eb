/**
 * What clients make sessions hold besides content: headers and recipients. Each session has its bounds, but thousands of times
 * these are more than a pod has, so all sessions share a budget.
 *
 * The first bytes of each are free, which is all that ordinary mail needs: who fills the budget keeps others from long headers
 * and long lists of recipients, not from mail.
 */
const defaultBytes = 64 * 2 ** 20;
const freeBytes = 8 * 1024;

export class SessionMemory {
  #leftBytes: number;

  constructor(bytes = defaultBytes) {
    this.#leftBytes = bytes;
  }

  share(): MemoryShare {
    return new MemoryShare(bytes => this.#take(bytes));
  }

  /** A negative number gives back. */
  #take(bytes: number): boolean {
    if (bytes > 0 && bytes > this.#leftBytes) return false;
    this.#leftBytes -= bytes;
    return true;
  }
}

/** Of one transaction. */
export class MemoryShare {
  readonly #takeOfAll: (bytes: number) => boolean;
  #bytes = 0;

  constructor(takeOfAll: (bytes: number) => boolean) {
    this.#takeOfAll = takeOfAll;
  }

  /** False: there is none left, and nothing is taken. */
  take(bytes: number): boolean {
    const charged = chargeable(this.#bytes + bytes) - chargeable(this.#bytes);
    if (charged > 0 && !this.#takeOfAll(charged)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** All of it; again does nothing. */
  giveBack(): void {
    this.#takeOfAll(-chargeable(this.#bytes));
    this.#bytes = 0;
  }
}

function chargeable(bytes: number): number {
  return Math.max(0, bytes - freeBytes);
}
