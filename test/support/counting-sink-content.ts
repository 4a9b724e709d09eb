import { createHash, type Hash } from 'node:crypto';

const headerBytesKept = 256 * 1024;

/** What comes between DATA and the final dot; keeps no more than it is asked to. */
export class SinkContent {
  sizeBytes = 0;
  readonly #keepBytes: number;
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;
  readonly #hash: Hash | undefined;
  #header: Buffer | undefined;
  #headerEnded = false;
  #lineStart = true;
  /** Bytes still to come that are not content: the line end of DATA. */
  #lead = 2;

  constructor(keepBytes: number, hashes: boolean) {
    this.#keepBytes = keepBytes;
    this.#hash = hashes ? createHash('sha256') : undefined;
    this.#header = hashes ? Buffer.alloc(0) : undefined;
  }

  write(input: Buffer): void {
    const chunk = input.subarray(this.#lead);
    this.#lead -= input.length - chunk.length;
    this.sizeBytes += chunk.length;
    if (this.#keptBytes < this.#keepBytes) {
      this.#kept.push(chunk);
      this.#keptBytes += chunk.length;
    }
    if (this.#hash !== undefined) for (const piece of this.#unstuffed(chunk)) this.#digest(piece, this.#hash);
  }

  kept(): Buffer {
    return Buffer.concat(this.#kept);
  }

  body(): { sha256: string; header: string; sizeBytes: number } | undefined {
    if (this.#hash === undefined) return undefined;
    const header = this.#header?.toString('latin1') ?? '';
    return { sha256: this.#hash.digest('hex'), header, sizeBytes: this.sizeBytes };
  }

  /** RFC 5321 s4.5.2: a dot that begins a line was doubled. */
  *#unstuffed(chunk: Buffer): Generator<Buffer> {
    let from = 0;
    if (this.#lineStart && chunk[0] === 0x2e) from = 1;
    for (;;) {
      const at = chunk.indexOf('\n.', from);
      if (at < 0) break;
      yield chunk.subarray(from, at + 1);
      from = at + 2;
    }
    if (from < chunk.length) yield chunk.subarray(from);
    if (chunk.length > 0) this.#lineStart = chunk.at(-1) === 0x0a;
  }

  #digest(piece: Buffer, hash: Hash): void {
    if (this.#headerEnded) {
      hash.update(piece);
      return;
    }
    const header = Buffer.concat([this.#header ?? Buffer.alloc(0), piece]);
    const end = header.indexOf('\r\n\r\n');
    this.#header = end < 0 ? header : header.subarray(0, end + 2);
    if (header.length > headerBytesKept && end < 0) throw new Error('a header without end');
    if (end < 0) return;
    this.#headerEnded = true;
    hash.update(header.subarray(end + 4));
  }
}
