/**
 * One message on its way in: bytes to the spool, header kept, body hashed; then the checks that need the header, the
 * signature and the queue.
 *
 * Once anything refuses the message, its spool is given back at once and the rest of its bytes are dropped: they still have to be
 * read up to their end, since the client only then reads the reply.
 */
import { isAscii } from 'node:buffer';
import type { Identity } from '../policy/identity.ts';
import type { NewMessage, Spool } from '../queue/queue.ts';
import type { BodyHasher } from '../sign/signer.ts';
import type { EnvelopeRecipient, EnvelopeSender } from '../smtp/envelope.ts';
import { ContentScanner } from './content-scanner.ts';
import { answerToFault, storeFault } from './fault.ts';
import { HeaderReader } from './header-reader.ts';
import { LineEndingFixer } from './line-endings.ts';
import type { Origin } from './origin.ts';
import { type Answer, replies } from './replies.ts';
import type { MemoryShare } from './session-memory.ts';
import { submitMessage } from './submit.ts';

/** Smaller chunks are gathered, so that a client that sends byte by byte does not cost a Buffer a byte. */
const smallChunkBytes = 1024;
const gatherBytes = 8 * smallChunkBytes;
const CRLF = Buffer.from('\r\n');
const space = 0x20;
const tab = 0x09;

/** What MAIL and RCPT said of it. */
export interface Envelope {
  /** Whose it is: who was somebody at MAIL may finish. */
  readonly identity: Identity;
  readonly sender: EnvelopeSender;
  /** By local-part and domain: case matters in a local-part (RFC 5321 s2.4). */
  readonly recipients: ReadonlyMap<string, EnvelopeRecipient>;
  /** Given back when the transaction ends, and no message of it is still with the queue. */
  readonly memory: MemoryShare;
}

export class Incoming {
  readonly scanner: ContentScanner;
  readonly #origin: Origin;
  readonly #envelope: Envelope;
  readonly #spool: Spool;
  readonly #header: HeaderReader;
  readonly #hasher: BodyHasher;
  readonly #fixer: LineEndingFixer | undefined;
  readonly #maxBytes: number;
  #refusal: Answer | undefined;
  #eightBit = false;
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  #sizeBytes = 0;
  /** The spool is given back, or the queue's. */
  #released = false;
  /** end() runs: it alone decides what becomes of the spool, even when the client goes away meanwhile. */
  #ending = false;

  /** @throws QueueFullError, or the store's fault. */
  constructor(origin: Origin, envelope: Envelope, { dotStuffed }: { readonly dotStuffed: boolean }) {
    const { limits } = origin.deps.state().config;
    this.#origin = origin;
    this.#envelope = envelope;
    this.#maxBytes = limits.maxMessageSizeBytes;
    this.scanner = new ContentScanner({ dotStuffed, maxLineBytes: limits.maxLineBytes });
    this.#fixer = origin.listener.lineEndings === 'Fix' ? new LineEndingFixer() : undefined;
    this.#header = new HeaderReader(envelope.memory);
    this.#hasher = origin.deps.signer.hashBody();
    this.#spool = origin.deps.openSpool();
  }

  get refusal(): Answer | undefined {
    return this.#refusal;
  }

  /** Takes what the scanner found; a promise asks to wait before more is read. */
  takeScanned(): Promise<void> | undefined {
    const { scanner } = this;
    if (this.#refusal !== undefined) return undefined;
    if (scanner.lineTooLong) this.refuse(replies.contentLineTooLong);
    if (this.#fixer !== undefined) return this.#take(this.#fixer.fix(scanner.output, !scanner.bareLineEnding));
    if (scanner.bareLineEnding) this.refuse(replies.bareLineEnding);
    return this.#take(scanner.output);
  }

  /** The whole content has been scanned: the reply to it. Never rejects. */
  async end(): Promise<Answer> {
    const receivedMs = performance.now();
    this.#ending = true;
    try {
      await this.#finishContent();
      if (this.#refusal !== undefined) return this.#refusal;
      return await this.#accept(receivedMs);
    } catch (error) {
      return answerToFault(this.#origin, error);
    } finally {
      this.#release();
      this.#envelope.memory.giveBack();
    }
  }

  /** The first refusal counts. */
  refuse(answer: Answer): void {
    this.#refusal ??= answer;
    this.#release();
  }

  /** RSET, or the client is gone. */
  abandon(): void {
    if (this.#ending) return;
    this.#release();
    this.#envelope.memory.giveBack();
  }

  /** Gives the spool back, unless the queue has the message. */
  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#gathered = undefined;
    this.#spool.discard().catch((error: unknown) => {
      this.#origin.deps.log.warn({ session: this.#origin.id, err: error }, 'spool could not be discarded');
    });
  }

  async #finishContent(): Promise<void> {
    this.scanner.finish();
    if (this.scanner.bareLineEnding && this.#fixer === undefined) this.refuse(replies.bareLineEnding);
    if (this.#fixer !== undefined) await this.#take(this.#fixer.finish());
    // BDAT content need not end with a line end; everything after us speaks lines (RFC 5321 s2.3.8).
    if (this.scanner.isMidLine) await this.#take(CRLF);
    await this.#writeGathered();
  }

  async #accept(receivedMs: number): Promise<Answer> {
    const { deps } = this.#origin;
    const { identity, sender, recipients } = this.#envelope;
    const result = await submitMessage(this.#origin, {
      identity,
      sender: this.#eightBit ? { ...sender, body: '8BITMIME' } : sender,
      recipients: [...recipients.values()],
      header: this.#header.header,
      bodyHash: () => this.#hasher.digest(),
      finish: () => this.#spool.finish(),
    });
    if (result.message === undefined) return result.answer;
    this.#released = true;
    this.#count(result.message);
    deps.metrics.postroad_accept_enqueue_seconds.observe((performance.now() - receivedMs) / 1000);
    return result.answer;
  }

  #count({ recipients, content }: NewMessage): void {
    const { metrics } = this.#origin.deps;
    metrics.postroad_accept_messages_total.inc({ listener: this.#origin.listener.name });
    metrics.postroad_accept_recipients_total.inc(recipients.length);
    metrics.postroad_accept_bytes_total.inc(content.sizeBytes);
  }

  #take(chunk: Buffer): Promise<void> | undefined {
    if (chunk.length === 0 || this.#refusal !== undefined) return undefined;
    this.#check(chunk);
    if (this.#refusal !== undefined) return undefined;
    this.#sizeBytes += chunk.length;
    this.#readHeaderAndHash(chunk);
    return this.#store(chunk);
  }

  #check(chunk: Buffer): void {
    // RFC 5322 s2.2: a first line that folds would continue the last of the fields that we put in front.
    if (this.#sizeBytes === 0 && (chunk[0] === space || chunk[0] === tab)) this.refuse(replies.foldAtStart);
    if (this.#sizeBytes + chunk.length > this.#maxBytes) this.refuse(replies.tooBig);
    // RFC 5321 s4.1.1.4 lets NUL pass, RFC 6152 s3 and RFC 2045 s2.8 do not; readers that stop at it see another message than
    // those that do not, or an end of data where it is skipped.
    if (chunk.includes(0)) this.refuse(replies.nul);
    // RFC 6152: what a client sent without BODY=8BITMIME is still 8-bit to the next hop.
    if (!this.#eightBit && !isAscii(chunk)) this.#eightBit = true;
  }

  #readHeaderAndHash(chunk: Buffer): void {
    const body = this.#header.read(chunk);
    if (!Buffer.isBuffer(body)) this.refuse(body);
    else if (body.length > 0) this.#hasher.update(body);
  }

  #store(chunk: Buffer): Promise<void> | undefined {
    if (this.#refusal !== undefined) return undefined;
    if (chunk.length >= smallChunkBytes) {
      const waiting = this.#writeGathered();
      return waiting === undefined ? this.#write(chunk) : waiting.then(() => this.#write(chunk));
    }
    const full = this.#gatheredBytes + chunk.length > gatherBytes ? this.#writeGathered() : undefined;
    this.#gathered ??= Buffer.allocUnsafeSlow(gatherBytes);
    this.#gatheredBytes += chunk.copy(this.#gathered, this.#gatheredBytes);
    return full;
  }

  #writeGathered(): Promise<void> | undefined {
    const bytes = this.#gathered?.subarray(0, this.#gatheredBytes);
    this.#gathered = undefined;
    this.#gatheredBytes = 0;
    return bytes === undefined ? undefined : this.#write(bytes);
  }

  #write(chunk: Buffer): Promise<void> | undefined {
    if (this.#released) return undefined;
    try {
      return this.#spool.write(chunk)?.catch((error: unknown) => this.#fail(storeFault(error)));
    } catch (error) {
      this.#fail(storeFault(error));
      return undefined;
    }
  }

  #fail(error: unknown): void {
    this.refuse(answerToFault(this.#origin, error));
  }
}
