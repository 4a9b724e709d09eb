/**
 * How much captured mail there may be: a number of messages, a number of bytes, and only what the disk can spare. The oldest
 * make room. Captured mail is for looking at, and the queue on the same disk is everybody's: it must be the first to give way.
 */
import { statfs } from 'node:fs/promises';

export interface RoomLimits {
  readonly directory: string;
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** Below this much free space the queue takes no mail. */
  readonly minFreeDiskBytes: () => number;
}

/** Captured mail stops this many times before the queue does, or it would fill the disk up to the very mark. */
const distance = 2;

export class CaptureRoom {
  readonly #limits: RoomLimits;
  readonly #remove: (id: string) => Promise<void>;
  /** Bytes of each message, oldest first. */
  readonly #sizes: Map<string, number>;
  /** Those that are being written may not make room. */
  readonly #writing = new Set<string>();
  readonly #removing = new Map<string, Promise<void>>();
  #keptBytes = 0;
  #writingBytes = 0;

  constructor(limits: RoomLimits, sizes: Map<string, number>, remove: (id: string) => Promise<void>) {
    this.#limits = limits;
    this.#sizes = sizes;
    this.#remove = remove;
    for (const size of sizes.values()) this.#keptBytes += size;
  }

  get ids(): readonly string[] {
    return [...this.#sizes.keys()];
  }

  has(id: string): boolean {
    return this.#sizes.has(id);
  }

  /**
   * Writes the message `id` when there is room for all bytes of it together. From the start on it makes no room for others.
   * @throws Error when there is none: nothing was written
   */
  async use(id: string, plan: () => Promise<{ bytes: number; write: () => Promise<void> }>): Promise<void> {
    this.#writing.add(id);
    let added = 0;
    try {
      await this.#removing.get(id);
      const { bytes, write } = await plan();
      added = Math.max(0, bytes - (this.#sizes.get(id) ?? 0));
      this.#writingBytes += added;
      await this.#make();
      await write();
      this.#keptBytes += bytes - (this.#sizes.get(id) ?? 0);
      this.#sizes.set(id, bytes);
    } finally {
      this.#writing.delete(id);
      this.#writingBytes -= added;
    }
  }

  async #make(): Promise<void> {
    const { directory, maxBytes, maxMessages, minFreeDiskBytes } = this.#limits;
    if (this.#writingBytes > maxBytes) throw new Error('more is being captured than all captured mail may be');
    const { bavail, bsize } = await statfs(directory);
    const missing = distance * minFreeDiskBytes() + this.#writingBytes - bavail * bsize;
    // Removing what cannot help would lose captured mail to whatever else fills the disk.
    if (missing > this.#keptBytes) throw new Error('the disk has no room for captured mail');
    const leaveBytes = Math.min(maxBytes - this.#writingBytes, this.#keptBytes - Math.max(0, missing));
    const fresh = [...this.#writing].filter(id => !this.#sizes.has(id)).length;
    for (const [id, size] of this.#sizes) {
      if (this.#keptBytes <= leaveBytes && this.#sizes.size + fresh <= maxMessages) return;
      if (!this.#writing.has(id)) await this.#evict(id, size);
    }
  }

  async #evict(id: string, size: number): Promise<void> {
    this.#sizes.delete(id);
    this.#keptBytes -= size;
    const removing = this.#remove(id);
    this.#removing.set(id, removing);
    try {
      await removing;
    } finally {
      this.#removing.delete(id);
    }
  }
}
