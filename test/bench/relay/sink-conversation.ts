/** One SMTP conversation of the bench's sink: works on bytes, keeps no text, and tells its ledger the number of each recipient. */
import type { Socket } from 'node:net';
import type { SinkLedger } from './sink-ledger.ts';

const greeting = Buffer.from('220 sink.test ESMTP\r\n');
const ok = Buffer.from('250 2.0.0 ok\r\n');
const goOn = Buffer.from('354 go on\r\n');
const bye = Buffer.from('221 2.0.0 bye\r\n');
const later = Buffer.from('450 4.2.1 try later\r\n');
const noRecipient = Buffer.from('554 5.5.1 no valid recipients\r\n');
const unknown = Buffer.from('500 5.5.1 unknown\r\n');
const finalDot = Buffer.from('\r\n.\r\n');
const lineEnd = Buffer.from('\r\n');
const signature = Buffer.from('DKIM-Signature:');
const none = Buffer.alloc(0);
const firstBytes = 2048;

const letter = { b: 0x42, d: 0x44, e: 0x45, h: 0x48, m: 0x4d, n: 0x4e, q: 0x51, r: 0x52, c: 0x43 };
const upper = 0xdf;

export class SinkConversation {
  readonly #socket: Socket;
  readonly #ledger: SinkLedger;
  readonly #ehlo: Buffer;
  #rest: Buffer = none;
  readonly #replies: Buffer[] = [];
  #recipients: number[] = [];
  #mode: 'Commands' | 'Data' | 'Chunk' = 'Commands';
  /** Bytes of the chunk (RFC 3030) still to come, and whether it is the last one. */
  #chunkLeft = 0;
  #lastChunk = false;
  /** The last bytes of the content so far, in which a final dot may have begun. */
  #tail: Buffer = lineEnd;
  #contentBegun = false;
  #quits = false;

  constructor(socket: Socket, ledger: SinkLedger, chunking: boolean) {
    this.#socket = socket;
    this.#ledger = ledger;
    const extensions = ['PIPELINING', 'SIZE 104857600', '8BITMIME', ...(chunking ? ['CHUNKING'] : [])];
    this.#ehlo = Buffer.from(
      `250-sink.test\r\n${extensions.map(name => `250-${name}\r\n`).join('')}250 ENHANCEDSTATUSCODES\r\n`,
    );
    ledger.connections += 1;
    socket.write(greeting);
  }

  receive(chunk: Buffer): void {
    let input: Buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = none;
    while (input.length > 0) {
      if (this.#mode === 'Commands') input = this.#takeLine(input);
      else input = this.#mode === 'Data' ? this.#takeData(input) : this.#takeChunk(input);
    }
    const [only, ...more] = this.#replies;
    if (only !== undefined) this.#socket.write(more.length === 0 ? only : Buffer.concat(this.#replies));
    this.#replies.length = 0;
    if (this.#quits) this.#socket.end();
  }

  #takeLine(input: Buffer): Buffer {
    const end = input.indexOf(0x0a);
    if (end < 0) {
      this.#rest = input;
      return none;
    }
    const reply = this.#answer(input, end);
    if (reply !== undefined) this.#replies.push(reply);
    return input.subarray(end + 1);
  }

  #answer(input: Buffer, end: number): Buffer | undefined {
    const second = (input[1] ?? 0) & upper;
    switch ((input[0] ?? 0) & upper) {
      case letter.m:
        this.#recipients = [];
        return ok;
      case letter.r:
        return second === letter.c ? this.#rcpt(input, end) : this.#reset();
      case letter.d:
        return this.#data();
      case letter.b:
        return this.#bdat(input.toString('latin1', 0, end));
      case letter.e:
        return this.#ehlo;
      case letter.h:
      case letter.n:
        return ok;
      case letter.q:
        this.#quits = true;
        return bye;
      default:
        return unknown;
    }
  }

  #reset(): Buffer {
    this.#recipients = [];
    return ok;
  }

  /** `RCPT TO:<17r3@...`: recipient 17 of run 3. */
  #rcpt(input: Buffer, end: number): Buffer {
    let at = input.indexOf(0x3c) + 1;
    let number = 0;
    let run = 0;
    for (; at < end && isDigit(input[at]); at++) number = number * 10 + (input[at] ?? 0) - 0x30;
    for (at += 1; at < end && isDigit(input[at]); at++) run = run * 10 + (input[at] ?? 0) - 0x30;
    if (this.#ledger.defers(run, number)) return later;
    this.#recipients.push(run, number);
    return ok;
  }

  #data(): Buffer {
    if (this.#recipients.length === 0) return noRecipient;
    this.#mode = 'Data';
    this.#tail = lineEnd;
    this.#contentBegun = false;
    return goOn;
  }

  #takeData(input: Buffer): Buffer {
    this.#look(input);
    const after = this.#endOfData(input);
    if (after < 0) {
      this.#tail = Buffer.concat([this.#tail, input.subarray(-4)]).subarray(-4);
      return none;
    }
    this.#finish();
    return input.subarray(after);
  }

  /** Where the content is over; -1: not in this input. */
  #endOfData(input: Buffer): number {
    const border = Buffer.concat([this.#tail, input.subarray(0, 4)]);
    const atBorder = border.indexOf(finalDot);
    if (atBorder >= 0) return atBorder + finalDot.length - this.#tail.length;
    const at = input.indexOf(finalDot);
    return at < 0 ? -1 : at + finalDot.length;
  }

  #bdat(line: string): Buffer | undefined {
    const [, size = '0', last] = line.trim().split(' ');
    this.#chunkLeft = Number(size);
    this.#lastChunk = last?.toUpperCase() === 'LAST';
    if (this.#mode === 'Commands') this.#contentBegun = false;
    this.#mode = 'Chunk';
    return this.#chunkLeft === 0 ? this.#endOfChunk() : undefined;
  }

  #takeChunk(input: Buffer): Buffer {
    this.#look(input);
    const taken = Math.min(this.#chunkLeft, input.length);
    this.#chunkLeft -= taken;
    if (this.#chunkLeft === 0) {
      const reply = this.#endOfChunk();
      if (reply !== undefined) this.#replies.push(reply);
    }
    return input.subarray(taken);
  }

  #endOfChunk(): Buffer | undefined {
    this.#mode = 'Commands';
    if (this.#recipients.length === 0) return noRecipient;
    if (!this.#lastChunk) return ok;
    this.#finish();
    return undefined;
  }

  #look(input: Buffer): void {
    if (this.#contentBegun) return;
    this.#contentBegun = true;
    if (this.#ledger.looksForSignatures && input.subarray(0, firstBytes).includes(signature)) this.#ledger.signed += 1;
  }

  #finish(): void {
    this.#mode = 'Commands';
    for (let at = 0; at < this.#recipients.length; at += 2) {
      this.#ledger.take(this.#recipients[at] ?? 0, this.#recipients[at + 1] ?? 0);
    }
    this.#recipients = [];
    this.#replies.push(ok);
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
