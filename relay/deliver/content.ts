/**
 * Frames a message for the wire: dot-stuffed for DATA (RFC 5321 s4.5.2), plain for BDAT (RFC 3030). Works on Buffers by
 * indexOf scans; a body is never a string.
 *
 * Both ways guard against SMTP smuggling: a bare CR or LF never leaves, whatever was stored (RFC 5321 s2.3.8).
 */
const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const stuffing = Buffer.from('.');
const endAtLineStart = Buffer.from('.\r\n');
const endInLine = Buffer.from('\r\n.\r\n');

export class UnsafeContentError extends Error {
  override name = 'UnsafeContentError';
  readonly code = 'POSTROAD_CONTENT_UNSAFE';
  constructor() {
    super('content has a bare CR or LF');
  }
}

/** Takes a message in chunks, cut anywhere, and gives back what to write for each. */
export class Framer {
  readonly #stuff: boolean;
  /** The byte before the next chunk; a message begins at the start of a line. */
  #before = LF;

  constructor(framing: 'Data' | 'Bdat') {
    this.#stuff = framing === 'Data';
  }

  /** @throws UnsafeContentError */
  push(chunk: Buffer): Buffer[] {
    if (chunk.length === 0) return [];
    this.#guardEdge(chunk);
    guardCr(chunk);
    const dots = this.#scanLines(chunk);
    this.#before = chunk[chunk.length - 1] ?? LF;
    return dots.length === 0 ? [chunk] : stuff(chunk, dots);
  }

  /** What ends the message. @throws UnsafeContentError when it ends in CR. */
  end(): Buffer {
    if (this.#before === CR) throw new UnsafeContentError();
    if (!this.#stuff) return Buffer.alloc(0);
    // RFC 5321 s4.1.1.4: an end of line is added where the message has none (it can lack one only if it came by BDAT).
    return this.#before === LF ? endAtLineStart : endInLine;
  }

  #guardEdge(chunk: Buffer): void {
    const first = chunk[0];
    if ((this.#before === CR) !== (first === LF)) throw new UnsafeContentError();
  }

  /** Checks each LF and returns where lines begin with a dot. */
  #scanLines(chunk: Buffer): number[] {
    const dots: number[] = [];
    if (this.#stuff && this.#before === LF && chunk[0] === DOT) dots.push(0);
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) {
      if (at > 0 && chunk[at - 1] !== CR) throw new UnsafeContentError();
      if (this.#stuff && chunk[at + 1] === DOT) dots.push(at + 1);
    }
    return dots;
  }
}

/** Each CR but one at the very end, whose LF may be in the next chunk, is followed by LF. */
function guardCr(chunk: Buffer): void {
  const last = chunk.length - 1;
  for (let at = chunk.indexOf(CR); at >= 0 && at < last; at = chunk.indexOf(CR, at + 1)) {
    if (chunk[at + 1] !== LF) throw new UnsafeContentError();
  }
}

function stuff(chunk: Buffer, dots: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const dot of dots) {
    if (dot > from) pieces.push(chunk.subarray(from, dot));
    pieces.push(stuffing);
    from = dot;
  }
  pieces.push(chunk.subarray(from));
  return pieces;
}
