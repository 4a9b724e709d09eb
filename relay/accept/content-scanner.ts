/**
 * Finds where a message ends and whether its line ends are sound, over the bytes as they arrive, whatever the boundaries of
 * the chunks.
 *
 *   LineStart ──"."──► Dot ──CR──► DotCr ──LF──► ended
 *      ▲                └─LF─┐       └─other─┐
 *     CRLF                   ▼               ▼
 *   Text ──bare CR or LF──► Bare ──"."──► BareDot ──CR or LF──► near miss
 *
 * The data end at CRLF.CRLF and nowhere else (RFC 5321 s4.1.1.4). A line of one dot that is set off by anything else is a near
 * miss: another server may end the message there and take what follows for commands, which is how mail is smuggled. It is
 * never taken and never passed on.
 */
const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

type State = 'LineStart' | 'Text' | 'Cr' | 'Dot' | 'DotCr' | 'Bare' | 'BareDot';

export class ContentScanner {
  /** What the last call to scan() found to be content, with dots removed: a view of the chunk that was given. */
  output: Buffer = Buffer.alloc(0);
  ended = false;
  nearMiss = false;
  bareLineEnding = false;
  lineTooLong = false;

  readonly #dotStuffed: boolean;
  readonly #maxLineBytes: number;
  #state: State = 'LineStart';
  /** Bytes of the line so far that lie in chunks before this one, or before `#lineFrom`. */
  #lineBytes = 0;
  /** Where the next CR and LF at or after the last search are, so that no stretch is searched twice; -1: not searched. */
  #nextCr = -1;
  #nextLf = -1;
  /** Where the content moved to by removed dots ends, and where the stretch that was not yet moved begins. */
  #outputEnd = 0;
  #kept = 0;

  /** `dotStuffed`: DATA (RFC 5321 s4.5.2); else BDAT, whose chunks say where they end (RFC 3030). */
  constructor({ dotStuffed, maxLineBytes }: { readonly dotStuffed: boolean; readonly maxLineBytes: number }) {
    this.#dotStuffed = dotStuffed;
    this.#maxLineBytes = maxLineBytes;
  }

  /**
   * Takes the chunk from `from` up to its end, the end of data or a near miss; returns where it stopped. The chunk is changed in place
   * where dots are removed, so that hostile input cannot turn one chunk into thousands of little ones.
   */
  scan(chunk: Buffer, from: number): number {
    this.#nextCr = -1;
    this.#nextLf = -1;
    this.#outputEnd = from;
    this.#kept = from;
    let at = from;
    while (at < chunk.length && !this.ended && !this.nearMiss) {
      at = this.#state === 'Text' ? this.#skipText(chunk, at) : this.#step(chunk, at);
    }
    if (this.#kept < at) this.#keep(chunk, at);
    this.output = chunk.subarray(from, this.#outputEnd);
    return at;
  }

  /** The last chunk has been scanned. */
  finish(): void {
    if (this.#state === 'Cr') this.bareLineEnding = true;
  }

  /** What was scanned ends within a line. */
  get isMidLine(): boolean {
    return this.#state === 'Text';
  }

  /** Whole lines at a time; stops behind a line end that needs a closer look. */
  #skipText(chunk: Buffer, from: number): number {
    let at = from;
    for (;;) {
      const cr = this.#indexOfCr(chunk, at);
      const lf = this.#indexOfLf(chunk, at);
      const first = Math.min(cr, lf);
      this.#addToLine(first - at);
      if (first === chunk.length) return first;
      if (lf !== cr + 1 || lf === chunk.length) {
        if (first === lf) this.#bareBreak();
        else this.#state = 'Cr';
        return first + 1;
      }
      this.#lineBytes = 0;
      at = lf + 1;
      if (at === chunk.length || (this.#dotStuffed && chunk[at] === DOT)) {
        this.#state = 'LineStart';
        return at;
      }
    }
  }

  /** One byte in any state but Text; returns where to go on. */
  #step(chunk: Buffer, at: number): number {
    const byte = chunk[at];
    switch (this.#state) {
      case 'LineStart':
        return this.#dotStuffed && byte === DOT ? this.#drop(chunk, at, 'Dot') : this.#textOrBreak(byte, at);
      case 'Dot':
        if (byte === LF) this.nearMiss = true;
        return byte === CR ? this.#drop(chunk, at, 'DotCr') : this.#to('Text', at);
      case 'DotCr':
        if (byte === LF) this.ended = true;
        else this.nearMiss = true;
        return this.#drop(chunk, at, 'LineStart');
      case 'Cr':
        return this.#afterCr(byte, at);
      case 'Bare':
        return this.#dotStuffed && byte === DOT ? this.#to('BareDot', at + 1) : this.#textOrBreak(byte, at);
      default:
        if (byte === CR || byte === LF) this.nearMiss = true;
        return this.#to('Text', at);
    }
  }

  #afterCr(byte: number | undefined, at: number): number {
    if (byte !== LF) {
      this.#bareBreak();
      return at;
    }
    this.#lineBytes = 0;
    return this.#to('LineStart', at + 1);
  }

  #textOrBreak(byte: number | undefined, at: number): number {
    if (byte === CR) return this.#to('Cr', at + 1);
    if (byte !== LF) return this.#to('Text', at);
    this.#bareBreak();
    return at + 1;
  }

  #bareBreak(): void {
    this.bareLineEnding = true;
    this.#lineBytes = 0;
    this.#state = 'Bare';
  }

  #to(state: State, at: number): number {
    this.#state = state;
    return at;
  }

  /** Leaves one byte out of the content. */
  #drop(chunk: Buffer, at: number, state: State): number {
    this.#keep(chunk, at);
    this.#kept = at + 1;
    return this.#to(state, at + 1);
  }

  #keep(chunk: Buffer, end: number): void {
    if (this.#outputEnd !== this.#kept) chunk.copyWithin(this.#outputEnd, this.#kept, end);
    this.#outputEnd += end - this.#kept;
    this.#kept = end;
  }

  #addToLine(bytes: number): void {
    this.#lineBytes += bytes;
    if (this.#lineBytes > this.#maxLineBytes) this.lineTooLong = true;
  }

  #indexOfCr(chunk: Buffer, from: number): number {
    if (this.#nextCr < from) this.#nextCr = indexOrEnd(chunk, CR, from);
    return this.#nextCr;
  }

  #indexOfLf(chunk: Buffer, from: number): number {
    if (this.#nextLf < from) this.#nextLf = indexOrEnd(chunk, LF, from);
    return this.#nextLf;
  }
}

function indexOrEnd(chunk: Buffer, byte: number, from: number): number {
  const index = chunk.indexOf(byte, from);
  return index === -1 ? chunk.length : index;
}
