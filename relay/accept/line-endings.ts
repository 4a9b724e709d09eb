/**
 * `lineEndings: Fix`: turns bare CR and bare LF into CRLF (RFC 5321 s2.3.8) as content streams through. What ends a message is
 * decided before, on the bytes of the wire, so repairing cannot move the end.
 */
const CR = 0x0d;
const LF = 0x0a;
const crlf = Buffer.from('\r\n');

export class LineEndingFixer {
  /** The content so far ended in a CR that is held back until its LF comes, or does not. */
  #heldCr = false;

  /** `sound`: the chunk is known to have no bare CR or LF, so it passes as it is. */
  fix(chunk: Buffer, sound: boolean): Buffer {
    if (chunk.length === 0) return chunk;
    if (sound && !this.#heldCr) {
      this.#heldCr = chunk.at(-1) === CR;
      return this.#heldCr ? chunk.subarray(0, -1) : chunk;
    }
    return this.#rewrite(chunk);
  }

  /** What was held back, at the end of the content. */
  finish(): Buffer {
    const last = this.#heldCr ? crlf : Buffer.alloc(0);
    this.#heldCr = false;
    return last;
  }

  #rewrite(chunk: Buffer): Buffer {
    const fixed = Buffer.allocUnsafe(2 * chunk.length + 2);
    let length = 0;
    for (const byte of chunk) {
      if (this.#heldCr || byte === LF) {
        fixed[length++] = CR;
        fixed[length++] = LF;
      }
      this.#heldCr = byte === CR;
      if (byte !== CR && byte !== LF) fixed[length++] = byte;
    }
    return fixed.subarray(0, length);
  }
}
