/** What our own writes led to: of each object the last, of all objects the last so many. */
export class RecentWrites {
  readonly #writes = new Map<string, { readonly hash: string; readonly versions: readonly (string | undefined)[] }>();
  readonly #most: number;

  constructor(most = 50_000) {
    this.#most = most;
  }

  /** `versions`: the resourceVersion written over, and the one that this led to. */
  add(key: string, hash: string, versions: readonly (string | undefined)[]): void {
    this.#writes.delete(key);
    this.#writes.set(key, { hash, versions });
    if (this.#writes.size <= this.#most) return;
    const [oldest] = this.#writes.keys();
    if (oldest !== undefined) this.#writes.delete(oldest);
  }

  has(key: string, hash: string, resourceVersion: string): boolean {
    const write = this.#writes.get(key);
    return write !== undefined && write.hash === hash && write.versions.includes(resourceVersion);
  }
}
