/**
 * Receives contents: in memory up to the inline limit and while the budget for all of them lasts, else in a file. With a file
 * no more than `flushBytes` and one chunk are in memory, and the caller waits for each write.
 */
import type { Content, Spool } from '../queue.ts';
import { FileContent, MemoryContent } from './content.ts';
import type { DiskGuard } from './disk-guard.ts';
import { type FolderSync, SpoolFile } from './spool-file.ts';

const flushBytes = 64 * 1024;

/** Bytes of all contents in memory that are not yet in the database. */
export class MemoryBudget {
  #leftBytes: number;

  constructor(bytes: number) {
    this.#leftBytes = bytes;
  }

  take(bytes: number): boolean {
    if (bytes > this.#leftBytes) return false;
    this.#leftBytes -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#leftBytes += bytes;
  }
}

export interface SpoolPlace {
  readonly budget: MemoryBudget;
  readonly guard: DiskGuard;
  readonly folder: FolderSync;
  readonly inlineLimitBytes: number;
}

/** In memory; its bytes count against the budget until it is enqueued or discarded. */
export class SpooledBytes extends MemoryContent {
  readonly release: () => void;

  constructor(bytes: Buffer, release: () => void) {
    super(bytes);
    this.release = release;
  }
}

export class SpooledFile extends FileContent {
  readonly file: SpoolFile;

  constructor(file: SpoolFile, sizeBytes: number) {
    super(file.path, sizeBytes);
    this.file = file;
  }
}

export class ContentSpool implements Spool {
  readonly #place: SpoolPlace;
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  #reservedBytes = 0;
  #sizeBytes = 0;
  #file: SpoolFile | undefined;
  #ended = false;

  constructor(place: SpoolPlace) {
    this.#place = place;
  }

  write(chunk: Buffer): Promise<void> | undefined {
    if (this.#ended) throw new Error('The spool has ended.');
    const { budget, guard, folder, inlineLimitBytes } = this.#place;
    const checked = guard.check();
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    this.#sizeBytes += chunk.length;
    if (this.#file === undefined && this.#sizeBytes <= inlineLimitBytes && budget.take(chunk.length)) {
      this.#reservedBytes += chunk.length;
      return checked;
    }
    this.#file ??= new SpoolFile(folder);
    // The first time all that is in memory goes, since the budget is wanted by others.
    if (this.#chunkBytes < flushBytes && this.#reservedBytes === 0) return checked;
    return this.#flush(this.#file, checked);
  }

  async finish(): Promise<Content> {
    this.#ended = true;
    if (this.#file === undefined) {
      const [first = Buffer.alloc(0)] = this.#chunks;
      const bytes = this.#chunks.length <= 1 ? first : Buffer.concat(this.#chunks, this.#chunkBytes);
      this.#chunks = [];
      return new SpooledBytes(bytes, () => this.#release());
    }
    await this.#flush(this.#file, undefined);
    await this.#file.finish();
    return new SpooledFile(this.#file, this.#sizeBytes);
  }

  async discard(): Promise<void> {
    this.#ended = true;
    this.#chunks = [];
    this.#release();
    await this.#file?.discard();
  }

  async #flush(file: SpoolFile, checked: Promise<void> | undefined): Promise<void> {
    await checked;
    const chunks = this.#chunks;
    const bytes = this.#chunkBytes;
    this.#chunks = [];
    this.#chunkBytes = 0;
    if (bytes > 0) {
      await file.write(chunks);
      this.#place.guard.spend(bytes);
    }
    this.#release();
  }

  #release(): void {
    this.#place.budget.giveBack(this.#reservedBytes);
    this.#reservedBytes = 0;
  }
}
