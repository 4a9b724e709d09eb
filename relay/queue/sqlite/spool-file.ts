import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { QueueFullError } from '../queue.ts';
import { isFull } from './errors.ts';

/** Makes the names of new files durable. Everyone who asks while one sync runs shares the next. */
export class FolderSync {
  readonly folder: string;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  sync(): Promise<void> {
    this.#next ??= this.#after(this.#running);
    return this.#next;
  }

  async #after(running: Promise<void>): Promise<void> {
    await Promise.allSettled([running]);
    // Whoever asks from here on may have made its file after the sync began.
    const mine = this.#next;
    this.#next = undefined;
    if (mine !== undefined) this.#running = mine;
    const handle = await open(this.folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/**
 * A content on disk, from its first byte to the commit that names it.
 *
 *   writing ──lodge──► lodging ──kept──► kept: belongs to the row now; the worker unlinks it with the message
 *      │                 └──unkept──► writing
 *      └──discard──► gone. While lodging, discard waits for the outcome.
 *
 * A crash before `kept` leaves a file that no row names, which the next start removes.
 */
export class SpoolFile {
  readonly name = randomUUID();
  readonly path: string;
  readonly #folder: FolderSync;
  #handle: FileHandle | undefined;
  #made = false;
  #state: 'writing' | 'lodging' | 'kept' | 'gone' = 'writing';
  #discarded = false;

  constructor(folder: FolderSync) {
    this.#folder = folder;
    this.path = join(folder.folder, this.name);
  }

  async write(chunks: Buffer[]): Promise<void> {
    try {
      this.#handle ??= await open(this.path, 'wx', 0o600);
      this.#made = true;
      let bytes = 0;
      for (const chunk of chunks) bytes += chunk.length;
      const { bytesWritten } = await this.#handle.writev(chunks);
      // A short write is what a file system does when it runs out of room half-way.
      if (bytesWritten < bytes) throw new QueueFullError('The queue has no room: the disk is full.');
    } catch (error) {
      throw isFull(error) ? new QueueFullError('The queue has no room: the disk is full.', { cause: error }) : error;
    }
  }

  /** No more writes. A content that waits for its enqueue holds no file open. */
  async finish(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** Durable under its name; not yet named by a row. */
  async lodge(): Promise<void> {
    if (this.#state !== 'writing') throw new Error('This content belongs to another message already.');
    this.#state = 'lodging';
    const handle = await open(this.path, 'r+');
    try {
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await this.#folder.sync();
  }

  kept(): void {
    this.#state = 'kept';
  }

  async unkept(): Promise<void> {
    this.#state = 'writing';
    if (this.#discarded) await this.discard();
  }

  get free(): boolean {
    return this.#state === 'writing' && !this.#discarded;
  }

  async discard(): Promise<void> {
    this.#discarded = true;
    if (this.#state !== 'writing') return;
    this.#state = 'gone';
    await this.finish();
    if (this.#made) await unlink(this.path);
  }
}
