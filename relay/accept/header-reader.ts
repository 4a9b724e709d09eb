/** The header of a message, taken out of its content as that arrives. */
import { endOfHeader } from '../smtp/message.ts';
import { type Answer, replies } from './replies.ts';
import type { MemoryShare } from './session-memory.ts';

const maxHeaderBytes = 256 * 1024;
const nothing = Buffer.alloc(0);

export class HeaderReader {
  readonly #memory: MemoryShare;
  /** Grows by doubling, so that a header in small pieces is not copied for each of them. */
  #room: Buffer = nothing;
  #sizeBytes = 0;
  #isComplete = false;

  constructor(memory: MemoryShare) {
    this.#memory = memory;
  }

  /** Up to and with the blank line, or all of a content that has none. */
  get header(): Buffer {
    return this.#room.subarray(0, this.#sizeBytes);
  }

  /** Returns what of the chunk belongs to the body. */
  read(chunk: Buffer): Buffer | Answer {
    if (this.#isComplete) return chunk;
    const before = this.#sizeBytes;
    // A copy of what is needed: a view would keep the whole chunk.
    const end = before === 0 ? endOfHeader(chunk) : -1;
    if (!this.#append(end === -1 ? chunk : chunk.subarray(0, end))) return replies.overloaded;
    const found = end === -1 ? endOfHeader(this.header, before) : end;
    this.#isComplete = found !== -1;
    if (this.#isComplete) this.#sizeBytes = found;
    if (this.#sizeBytes > maxHeaderBytes) return replies.headerTooBig;
    return this.#isComplete ? chunk.subarray(found - before) : nothing;
  }

  #append(piece: Buffer): boolean {
    const needed = this.#sizeBytes + piece.length;
    if (needed > this.#room.length) {
      const room = this.#sizeBytes === 0 ? needed : 2 * needed;
      if (!this.#memory.take(room - this.#room.length)) return false;
      const larger = Buffer.allocUnsafe(room);
      this.header.copy(larger);
      this.#room = larger;
    }
    piece.copy(this.#room, this.#sizeBytes);
    this.#sizeBytes = needed;
    return true;
  }
}
