import { createReadStream } from 'node:fs';
import type { Content } from '../queue.ts';

const chunkBytes = 64 * 1024;

export class MemoryContent implements Content {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  async *read(): AsyncIterable<Buffer> {
    if (this.bytes.length > 0) yield this.bytes;
  }
}

/** Opened anew for each reading, so that a claim that waits for its turn holds no file open. */
export class FileContent implements Content {
  readonly bytes = undefined;
  readonly sizeBytes: number;
  readonly #path: string;

  constructor(path: string, sizeBytes: number) {
    this.#path = path;
    this.sizeBytes = sizeBytes;
  }

  async *read(): AsyncIterable<Buffer> {
    let left = this.sizeBytes;
    for await (const chunk of createReadStream(this.#path, { highWaterMark: chunkBytes })) {
      // A stream without an encoding gives Buffers.
      const bytes = chunk as Buffer;
      left -= bytes.length;
      yield bytes;
    }
    // Half a message must not be delivered as a whole one.
    if (left !== 0) throw new Error(`A spool file has lost ${left} of its ${this.sizeBytes} bytes.`);
  }
}
