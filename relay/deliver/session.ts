/**
 * One connection to a next hop, past greeting, EHLO, TLS and AUTH: runs transactions one after the other.
 *
 * How a message goes out, by what the next hop offers:
 *
 *   PIPELINING + CHUNKING   [RSET] MAIL RCPT… BDAT content           one write, one round trip (small messages)
 *   PIPELINING              [RSET] MAIL RCPT… DATA | content .       two round trips (RFC 2920 s3.1)
 *   neither                 each command waits for its reply
 *
 * One timer a connection, re-armed at each reply; one promise a transaction.
 */
import type { Socket } from 'node:net';
import type { Reply } from '../smtp/reply.ts';
import type { Extensions } from './command.ts';
import { UnsafeContentError } from './content.ts';
import { type Framing, MessageWriter, wholeBdat } from './message-writer.ts';
import type { DeferReason } from './outcome.ts';
import { ReplyReader } from './reply-reader.ts';
import type { Awaiting, Fault, Transaction, TransactionResult } from './transaction.ts';
import { isPositive, RunningTransaction } from './transaction.ts';

export interface SessionOptions {
  readonly socket: Socket;
  readonly extensions: Extensions;
  readonly host: string;
  /** Its version, or `none`. */
  readonly tls: string;
  readonly commandTimeoutMs: number;
}

const quitGraceMs = 5000;

export class SmtpSession {
  readonly host: string;
  readonly tls: string;
  readonly extensions: Extensions;
  transactions = 0;
  /** When it was last put aside; kept by its pool. */
  idleSinceMs = 0;
  readonly #socket: Socket;
  readonly #pipelining: boolean;
  readonly #chunking: boolean;
  readonly #timer: NodeJS.Timeout;
  readonly #reader: ReplyReader;
  readonly #writer: MessageWriter;
  #awaiting: Awaiting = 'Nothing';
  #running: RunningTransaction | undefined;
  #needsReset = false;
  #extendedOnce = false;
  #closed = false;
  #onClose: ((ending: Socket) => void) | undefined;

  constructor(options: SessionOptions) {
    this.host = options.host;
    this.tls = options.tls;
    this.extensions = options.extensions;
    this.#socket = options.socket;
    this.#pipelining = options.extensions.has('PIPELINING');
    this.#chunking = options.extensions.has('CHUNKING');
    this.#reader = new ReplyReader(answer => this.#onReply(answer));
    this.#writer = new MessageWriter(this.#socket, () => this.#timer.refresh());
    this.#timer = setTimeout(() => this.#onTimer(), options.commandTimeoutMs);
    this.#timer.unref();
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on('error', cause => this.#lose('ConnectionLost', cause.message));
    this.#socket.on('end', () => this.#lose('ConnectionLost', 'the next hop closed the connection'));
    this.#socket.on('close', () => this.#lose('ConnectionLost', 'the connection closed'));
    if (options.socket.destroyed || options.socket.readableEnded) this.#lose('ConnectionLost', 'closed after EHLO');
  }

  get usable(): boolean {
    return !this.#closed && this.#running === undefined;
  }

  /** Told once, when it takes no more mail; that it is gone for the next hop, too, its socket tells by `close`. */
  onClose(listener: (ending: Socket) => void): void {
    if (this.#closed) listener(this.#socket);
    else this.#onClose = listener;
  }

  /** Never rejects: what went wrong is in the result. */
  transact(transaction: Transaction): Promise<TransactionResult> {
    if (!this.usable) throw new Error('a transaction was begun on a connection that cannot take one');
    this.transactions += 1;
    return new Promise(resolve => {
      this.#running = new RunningTransaction(transaction, resolve);
      this.#begin(this.#running);
    });
  }

  /** Ends politely; the connection is gone within a bounded time. */
  quit(): void {
    if (this.#closed) return;
    this.#shut();
    this.#socket.end('QUIT\r\n');
    setTimeout(() => this.#socket.destroy(), quitGraceMs).unref();
  }

  /** Breaks off at once; a running transaction ends with this reason. */
  destroy(reason: DeferReason): void {
    this.#lose(reason, 'broken off');
  }

  #begin(running: RunningTransaction): void {
    this.#timer.refresh();
    this.#extendedOnce = false;
    const { mail, rcpts } = running.transaction;
    const reset = this.#needsReset ? 'RSET\r\n' : '';
    this.#awaiting = this.#needsReset ? 'Reset' : 'Mail';
    this.#needsReset = false;
    if (!this.#pipelining) {
      this.#socket.write(reset === '' ? mail : reset);
      return;
    }
    const envelope = reset + mail + (rcpts.length === 1 ? rcpts[0] : rcpts.join(''));
    const whole = this.#chunking ? wholeBdat(envelope, running.transaction) : undefined;
    if (whole === undefined) {
      this.#socket.write(this.#chunking ? envelope : `${envelope}DATA\r\n`);
      return;
    }
    // RFC 3030 s2: the next hop reads the chunk even when it refused every recipient before it.
    running.bdat = true;
    running.contentSent = true;
    this.#socket.write(whole);
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return;
    if (!this.#reader.push(chunk)) this.#lose('ProtocolError', 'a reply that is not SMTP, or has no end');
    // RFC 3207 s5 and RFC 2920: whatever comes without being asked for would be taken for the next reply.
    else if (this.#running === undefined && !this.#reader.empty) this.#lose('ProtocolError', 'spoke out of turn');
  }

  #onReply(answer: Reply): void {
    if (this.#closed) return;
    const running = this.#running;
    if (running === undefined) {
      this.#lose(answer.code === 421 ? 'ConnectionLost' : 'ProtocolError', 'spoke out of turn');
      return;
    }
    this.#timer.refresh();
    // RFC 5321 s3.8: 421 may answer any command, and the connection is closed with it.
    if (answer.code === 421) {
      running.take421(this.#awaiting, answer);
      this.#break({ reason: 'RemoteDeferred', reply: answer, detail: 'closed with 421' });
    } else {
      this.#step(running, answer);
    }
    running.heard = true;
  }

  #step(running: RunningTransaction, answer: Reply): void {
    switch (this.#awaiting) {
      case 'Reset':
        this.#awaiting = 'Mail';
        if (!this.#pipelining) this.#socket.write(running.transaction.mail);
        break;
      case 'Mail':
        this.#onMail(running, answer);
        break;
      case 'Rcpt':
        this.#onRcpt(running, answer);
        break;
      case 'Data':
        this.#onDataReply(running, answer);
        break;
      case 'Discard':
        this.#finish(running);
        break;
      case 'End':
        this.#onEnd(running, answer);
        break;
      case 'Nothing':
        this.#lose('ProtocolError', 'spoke out of turn');
    }
  }

  #onMail(running: RunningTransaction, answer: Reply): void {
    running.takeMail(answer);
    this.#awaiting = 'Rcpt';
    if (this.#pipelining) return;
    if (isPositive(answer)) this.#socket.write(running.nextRcpt ?? '');
    else this.#finish(running);
  }

  #onRcpt(running: RunningTransaction, answer: Reply): void {
    running.takeRcpt(answer);
    const next = running.nextRcpt;
    if (next === undefined) this.#afterRcpts(running);
    else if (!this.#pipelining) this.#socket.write(next);
  }

  #afterRcpts(running: RunningTransaction): void {
    if (running.bdat) {
      this.#awaiting = 'End';
    } else if (this.#pipelining && !this.#chunking) {
      this.#awaiting = 'Data';
    } else if (!running.accepted) {
      this.#finish(running);
    } else if (this.#chunking) {
      this.#awaiting = 'End';
      running.bdat = true;
      this.#send(running, 'Bdat');
    } else {
      this.#awaiting = 'Data';
      this.#socket.write('DATA\r\n');
    }
  }

  #onDataReply(running: RunningTransaction, answer: Reply): void {
    if (answer.code === 354 && running.accepted) {
      this.#awaiting = 'End';
      this.#send(running, 'Data');
    } else if (answer.code === 354) {
      // RFC 2920 s3.1: DATA was taken with no recipient; an empty message ends it, for nobody.
      this.#awaiting = 'Discard';
      this.#socket.write('.\r\n');
    } else if (isPositive(answer)) {
      // Taken for the end, it would count as delivered.
      this.#lose('ProtocolError', `DATA was answered with ${answer.code}`);
    } else {
      running.end = answer;
      this.#finish(running);
    }
  }

  #onEnd(running: RunningTransaction, answer: Reply): void {
    if (running.accepted) running.end = answer;
    if (running.contentSent) this.#finish(running);
    // It refused before it had read all: the rest of the message would be taken for commands.
    else this.#lose('ConnectionLost', 'the message was answered before it was sent');
  }

  #send(running: RunningTransaction, framing: Framing): void {
    try {
      const streamed = this.#writer.send(running.transaction, framing, () => this.#running === running);
      if (streamed === undefined) {
        running.contentSent = true;
        return;
      }
      streamed.then(
        whole => {
          running.contentSent = whole;
          this.#timer.refresh();
        },
        (cause: unknown) => this.#onSendFault(cause),
      );
    } catch (cause) {
      this.#onSendFault(cause);
    }
  }

  #onSendFault(cause: unknown): void {
    const reason = cause instanceof UnsafeContentError ? 'MessageUnsafe' : 'Internal';
    // The end of the message was not sent, so no next hop can take what it has for a whole one.
    this.#lose(reason, cause instanceof Error ? cause.message : String(cause));
  }

  #onTimer(): void {
    const running = this.#running;
    if (running === undefined) return;
    if (this.#awaiting === 'End' && running.contentSent && !this.#extendedOnce) {
      // RFC 5321 s4.5.3.2.6: the end of the message gets ten minutes, twice what the others get.
      this.#extendedOnce = true;
      this.#timer.refresh();
      return;
    }
    this.#lose('CommandTimeout', `no reply in time to ${this.#awaiting}`);
  }

  #lose(reason: DeferReason, detail: string): void {
    this.#break({ reason: this.#running?.reasonOfLoss(reason) ?? reason, reply: undefined, detail });
  }

  #break(fault: Omit<Fault, 'silent'>): void {
    if (this.#closed) return;
    const running = this.#running;
    this.#running = undefined;
    this.#shut();
    this.#socket.destroy();
    running?.resolve(fault);
  }

  #shut(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    const listener = this.#onClose;
    this.#onClose = undefined;
    listener?.(this.#socket);
  }

  #finish(running: RunningTransaction): void {
    this.#running = undefined;
    this.#awaiting = 'Nothing';
    // After a message was taken or refused the buffers are clear (RFC 5321 s4.1.1.4); else the next one starts with RSET.
    this.#needsReset = running.end === undefined || !isPositive(running.end);
    running.resolve();
  }
}
