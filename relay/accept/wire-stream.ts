/**
 * Bytes from the client, cut into command lines, DATA and BDAT chunks. Replaces the parsing of the package's stream, and keeps its
 * place: a socket is piped into it, so a write that is not yet answered stops the reading (backpressure).
 */
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import type { ContentScanner } from './content-scanner.ts';

const CR = 0x0d;
const LF = 0x0a;
/** RFC 4954 s4: an AUTH line has up to 12,288 octets; every other command is far shorter (RFC 5321 s4.5.3.1.4). */
const maxLineBytes = 12_288;
/** Then a session waits for its next turn, if it has more. */
const commandsPerTurn = 10;

export type LineFault = 'TooLong' | 'Bare';

/** Where the bytes go. A promise stops the reading until it settles; it must not reject. */
export interface WireOwner {
  /** False: the client may not speak yet, and its bytes are dropped. */
  mayRead(): boolean;
  acceptsBareLf(): boolean;
  /** A line without its line end. */
  onLine(line: Buffer): Promise<void> | undefined;
  onLineFault(fault: LineFault): void;
  /** The scanner found content, perhaps empty. */
  onContent(): Promise<void> | undefined;
  /** CRLF.CRLF, or the last octet of a chunk. */
  onContentEnd(): Promise<void> | undefined;
  onNearMiss(): void;
  /** The client closed its side, and all it sent is dealt with. */
  onClientEnd(): void;
  /** All that has arrived is dealt with, or another session is due: replies should go out. */
  onPause(): Promise<void> | undefined;
  nextTurn(): Promise<void>;
}

export class WireStream extends SMTPStream {
  readonly #owner: WireOwner;
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  #partial: Buffer | undefined;
  #skippingLine = false;
  #commands = 0;
  #scanner: ContentScanner | undefined;
  /** Octets of the BDAT chunk to come; undefined in DATA. */
  #octetsLeft: number | undefined;
  #waiting = false;
  #waitingSinceMs = 0;

  constructor(owner: WireOwner) {
    super();
    this.#owner = owner;
  }

  /** A command or content is being worked on: it is us that the client waits for. */
  get isWaiting(): boolean {
    return this.#waiting;
  }

  /** While `isWaiting`: how long by now. */
  get waitedMs(): number {
    return performance.now() - this.#waitingSinceMs;
  }

  /** What follows is DATA, up to CRLF.CRLF. */
  startData(scanner: ContentScanner): void {
    this.#scanner = scanner;
    this.#octetsLeft = undefined;
  }

  /** What follows are `octets` of content (RFC 3030 s2); without a scanner they are dropped. */
  startChunk(octets: number, scanner: ContentScanner | undefined): void {
    this.#scanner = scanner;
    this.#octetsLeft = octets;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding | 'buffer', next: (error?: Error | null) => void): void {
    if (this.isClosed || !this.#owner.mayRead()) {
      next();
      return;
    }
    this.#chunk = chunk;
    this.#at = 0;
    this.#commands = 0;
    this.#run(next);
  }

  /** The client closed its side: a line that was not ended is no command. */
  override _flushData(): void {
    this.#partial = undefined;
    if (!this.isClosed) this.#owner.onClientEnd();
  }

  #run(next: () => void): void {
    while (!this.isClosed && (this.#at < this.#chunk.length || this.#octetsLeft === 0)) {
      const wait = this.#advance();
      if (wait !== undefined) {
        this.#wait(wait, () => this.#run(next));
        return;
      }
    }
    const drained = this.isClosed ? undefined : this.#owner.onPause();
    this.#chunk = Buffer.alloc(0);
    this.#at = 0;
    // Not our work but the client's to read: it is not `waiting`, so that the idle timeout counts.
    if (drained === undefined) next();
    else drained.then(next, next);
  }

  #wait(promise: Promise<void>, resume: () => void): void {
    this.#waiting = true;
    this.#waitingSinceMs = performance.now();
    const done = (): void => {
      this.#waiting = false;
      resume();
    };
    promise.then(done, done);
  }

  #advance(): Promise<void> | undefined {
    if (this.#octetsLeft !== undefined) return this.#readChunk(this.#octetsLeft);
    if (this.#scanner !== undefined) return this.#readData(this.#scanner);
    return this.#readLine();
  }

  #readLine(): Promise<void> | undefined {
    const lf = this.#chunk.indexOf(LF, this.#at);
    const end = lf === -1 ? this.#chunk.length : lf;
    const piece = this.#chunk.subarray(this.#at, end);
    this.#at = Math.min(end + 1, this.#chunk.length);
    const line = this.#join(piece);
    if (lf === -1 || line === undefined) {
      this.#partial = line;
      return undefined;
    }
    this.#partial = undefined;
    return this.#deliver(line) ?? this.#yieldTurn();
  }

  /** Undefined for a line that grew too long: it is dropped up to its end. */
  #join(piece: Buffer): Buffer | undefined {
    if (this.#skippingLine) {
      this.#skippingLine = this.#chunk[this.#at - 1] !== LF;
      if (!this.#skippingLine) this.#owner.onLineFault('TooLong');
      return undefined;
    }
    const line = this.#partial === undefined ? piece : Buffer.concat([this.#partial, piece]);
    if (line.length <= maxLineBytes) return line;
    this.#skippingLine = this.#chunk[this.#at - 1] !== LF;
    if (!this.#skippingLine) this.#owner.onLineFault('TooLong');
    return undefined;
  }

  #deliver(line: Buffer): Promise<void> | undefined {
    const hasCr = line.at(-1) === CR;
    const text = hasCr ? line.subarray(0, -1) : line;
    // RFC 5321 s2.3.8: CR and LF only together. Where they are not, two servers may not agree on where the command ends.
    if (text.includes(CR) || (!hasCr && !this.#owner.acceptsBareLf())) {
      this.#owner.onLineFault('Bare');
      return undefined;
    }
    return this.#owner.onLine(text);
  }

  #yieldTurn(): Promise<void> | undefined {
    this.#commands++;
    if (this.#commands < commandsPerTurn) return undefined;
    this.#commands = 0;
    return this.#owner.onPause() ?? this.#owner.nextTurn();
  }

  #readData(scanner: ContentScanner): Promise<void> | undefined {
    this.#at = scanner.scan(this.#chunk, this.#at);
    if (scanner.nearMiss) {
      this.#owner.onNearMiss();
      return undefined;
    }
    if (!scanner.ended) return this.#owner.onContent();
    this.#scanner = undefined;
    return this.#finish(this.#owner.onContent());
  }

  #readChunk(octetsLeft: number): Promise<void> | undefined {
    const end = Math.min(this.#at + octetsLeft, this.#chunk.length);
    const piece = this.#chunk.subarray(this.#at, end);
    this.#octetsLeft = octetsLeft - piece.length;
    this.#at = end;
    this.#scanner?.scan(piece, 0);
    const taken = this.#scanner === undefined ? undefined : this.#owner.onContent();
    if (this.#octetsLeft > 0) return taken;
    this.#octetsLeft = undefined;
    this.#scanner = undefined;
    return this.#finish(taken);
  }

  #finish(taken: Promise<void> | undefined): Promise<void> | undefined {
    return taken === undefined ? this.#owner.onContentEnd() : taken.then(() => this.#owner.onContentEnd());
  }
}
