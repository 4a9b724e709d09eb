/**
 * One SMTP session on its socket: greeting, dispatch, replies, limits. Extends the package's connection for TLS upgrade and the
 * upkeep of the socket; what is said, and when, is ours, since the package answers a fault of ours with 550.
 *
 *   bytes ─► WireStream ─► onLine ─► interpret ─► Answer ─► say ─► (end of what has arrived) ─► socket
 *                      └─► onContent ─► Incoming ─► onContentEnd ─► Incoming.end ─► 250, or why not
 *
 * Replies to pipelined commands go out together (RFC 2920 s3.2). A client that does not read them is not read from.
 */
import type { Socket } from 'node:net';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';
import type { SMTPServer } from 'smtp-server/lib/smtp-server.js';
import type { LimitsConfig } from '../config.ts';
import type { Chunk } from './bdat.ts';
import type { Client, ConnectionDependencies } from './dependencies.ts';
import { answerToFault } from './fault.ts';
import { Incoming } from './incoming.ts';
import { interpret, type Step } from './interpret.ts';
import { type Answer, chunkReceived, greeting, replies } from './replies.ts';
import { Session, tlsInfoOf } from './session.ts';
import { SessionTime } from './session-time.ts';
import { type LineFault, type WireOwner, WireStream } from './wire-stream.ts';

/** A handshake after STARTTLS that takes longer is not one. */
const handshakeMs = 30_000;
/** Less than the ten minutes of RFC 5321 s4.5.3.2.6, after which the client would conclude the same by itself. */
const storeLimitMs = 4 * 60_000;

export class Connection extends SMTPConnection implements WireOwner {
  readonly #deps: ConnectionDependencies;
  readonly #session: Session;
  #out = '';
  #commands = 0;
  #errors = 0;
  #next: Answer['next'];
  #chunk: Chunk | undefined;
  #tlsSocket: Socket | undefined;
  #time: SessionTime | undefined;
  #handshakeTimer: NodeJS.Timeout | undefined;
  #storing: Promise<Answer> | undefined;
  #isClosed = false;

  constructor(server: SMTPServer, client: Client, deps: ConnectionDependencies) {
    super(server, client.socket, { id: client.id, remoteAddress: client.address, remotePort: client.port });
    this.#deps = deps;
    this.#session = new Session(deps, { id: client.id, listener: deps.listener, remoteAddress: client.address });
    this.#session.tls = tlsInfoOf(this._socket);
  }

  /** The package greets after 100 ms. Bytes that are here already come in the poll phase between two checks (RFC 5321 s4.3.1). */
  override init(): void {
    this.#time = new SessionTime(this.#limits.sessionTimeoutSeconds, {
      isWaiting: () => this.#stream?.isWaiting ?? false,
      leaveIfDue: () => this.#leaveIfDue(),
      end: () => this.#end(replies.sessionTooLong),
    });
    this._setListeners(() => setImmediate(() => setImmediate(() => this.#greet())));
  }

  /** The relay stops: at once when nothing is under way, else when the transaction is over. */
  drain(): void {
    if (this._upgrading) this.#tlsSocket?.destroy();
    else if (this._ready && this.#stream?.isWaiting === false) this.#leaveIfDue();
  }

  /** The grace period is over. */
  terminate(): void {
    this.#end(replies.draining);
    if (!this._upgrading) this._socket.destroySoon();
  }

  override _createParser(): WireStream {
    return new WireStream(this);
  }

  /** RFC 3207 s4.2; the package calls it when TLS has begun. */
  override _resetSession(): void {
    this.#session.forget();
    this.#next = undefined;
  }

  override _armTimeout(socket: Socket = this._socket): void {
    if (socket !== this._socket) this.#tlsSocket = socket;
    super._armTimeout(socket);
  }

  override _onTimeout(): void {
    if (this._upgrading) this.#tlsSocket?.destroy();
    // It has not read, or not closed, in all that time: no use in saying more.
    else if (this._closing || this._socket.writableNeedDrain) this._socket.destroy();
    else if (!this.#stream?.isWaiting) this.#say(replies.idle);
    else if (this.#stream.waitedMs < (this.#deps.storeLimitMs ?? storeLimitMs)) this._armTimeout();
    // The queue may have it yet, and then twice; for ever would be worse, as every wait of a client ends (RFC 5321 s4.5.3.2.6).
    else this.#say(replies.queueStuck);
  }

  override _onError(error: Error): void {
    this.#deps.log.debug({ session: this.id, err: error }, 'connection lost');
    this.close();
  }

  override _onClose(): void {
    super._onClose();
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#time?.stop();
    clearTimeout(this.#handshakeTimer);
    this.#session.endTransaction();
    const { listener, metrics } = this.#deps;
    metrics.postroad_accept_sessions_open.dec({ listener: listener.name });
    metrics.postroad_accept_sessions_total.inc({ listener: listener.name, tls: this.#session.tls?.version ?? 'none' });
    this.#deps.onClosed(this.#storing);
  }

  // WireOwner

  mayRead(): boolean {
    if (!this._ready) this.#say(replies.earlyTalker);
    return this._ready;
  }

  acceptsBareLf(): boolean {
    return this.#session.listener.lineEndings === 'Fix';
  }

  onLine(line: Buffer): Promise<void> | undefined {
    this.#commands++;
    if (this.#commands > this.#limits.maxCommandsPerSession) {
      this.#say(replies.tooManyCommands);
      return undefined;
    }
    const next = this.#next;
    this.#next = undefined;
    try {
      return this.#take(next === undefined ? interpret(this.#session, line) : next(line.toString('latin1')));
    } catch (error) {
      this.#reply(answerToFault(this.#session, error));
      return undefined;
    }
  }

  onLineFault(fault: LineFault): void {
    const tooLong = this.#next === undefined ? replies.lineTooLong : replies.authLineTooLong;
    this.#reply(fault === 'TooLong' ? tooLong : replies.bareCommand);
  }

  onContent(): Promise<void> | undefined {
    return this.#session.transaction?.incoming?.takeScanned();
  }

  onContentEnd(): Promise<void> | undefined {
    const chunk = this.#chunk;
    this.#chunk = undefined;
    const incoming = this.#session.transaction?.incoming;
    if (chunk !== undefined && (chunk.refusal !== undefined || !chunk.last)) {
      this.#reply(chunk.refusal ?? incoming?.refusal ?? chunkReceived(chunk.octets));
      return undefined;
    }
    if (incoming === undefined) return undefined;
    this.#storing = incoming.end().then(answer => {
      this.#storing = undefined;
      this.#session.endTransaction();
      return answer;
    });
    return this.#replyLater(this.#storing);
  }

  onNearMiss(): void {
    this.#session.endTransaction();
    this.#say(replies.endOfDataNearMiss);
  }

  onClientEnd(): void {
    this.#flush();
    this.close();
  }

  onPause(): Promise<void> | undefined {
    this.#flush();
    if (!this._socket.writableNeedDrain || this._socket.destroyed) return undefined;
    return new Promise(resolve => this._socket.once('drain', resolve));
  }

  nextTurn(): Promise<void> {
    return this.#deps.turns.next();
  }

  // Commands

  #take(step: Step): Promise<void> | undefined {
    if (step === 'StartTls') this.#startTls();
    else if (step instanceof Promise) return this.#replyLater(step);
    else if (step instanceof Incoming) {
      this.#stream?.startData(step.scanner);
      this.#reply(replies.sendData);
    } else if ('octets' in step) {
      this.#chunk = step;
      this.#stream?.startChunk(step.octets, step.incoming?.scanner);
    } else this.#reply(step);
    return undefined;
  }

  #startTls(): void {
    this.#say(replies.startTls);
    this.#flush();
    // RFC 3207 s4.2: bytes behind the command were sent in the clear, by whom ever; the parser that holds them is retired.
    this.upgrade(
      () => undefined,
      () => this.#secured(),
    );
    this.#handshakeTimer = setTimeout(() => {
      if (this._upgrading) this.#tlsSocket?.destroy();
    }, handshakeMs).unref();
  }

  #secured(): void {
    clearTimeout(this.#handshakeTimer);
    this.#session.tls = tlsInfoOf(this._socket);
    this.#leaveIfDue();
  }

  // Replies

  #greet(): void {
    if (this._closing || this._closed) return;
    this._ready = true;
    this.#deps.log.debug({ session: this.id, client: this.remoteAddress }, 'session');
    this.#say(this.#deps.isDraining() ? replies.draining : greeting(this.#deps.state().config.hostname));
    this.#flush();
  }

  async #replyLater(answer: Promise<Answer>): Promise<void> {
    // What is already answered should not wait for what is not.
    this.#flush();
    try {
      this.#reply(await answer);
    } catch (error) {
      this.#reply(answerToFault(this.#session, error));
    }
  }

  #reply(answer: Answer): void {
    this.#next = answer.next;
    this.#say(answer);
    if (answer.code >= 500 && answer.reason !== undefined && ++this.#errors >= this.#limits.maxErrorsPerSession) {
      this.#say(replies.tooManyErrors);
    } else this.#leaveIfDue();
  }

  #say(answer: Answer): void {
    if (this._closing || this._closed || this._upgrading) return;
    this.#out += answer.wire;
    if (answer.reason !== undefined) this.#session.recordRefusal(answer, answer.reason);
    if (!answer.close) return;
    this.#flush();
    this.close();
  }

  /** Nothing can be said in a handshake. */
  #end(answer: Answer): void {
    if (this._upgrading) this.#tlsSocket?.destroy();
    else this.#say(answer);
  }

  #flush(): void {
    if (this.#out === '') return;
    const out = this.#out;
    this.#out = '';
    if (this._socket.writable) this._socket.write(out, 'latin1');
  }

  /** Between messages, when the relay stops or the session's time is over. */
  #leaveIfDue(): void {
    if (this.#session.transaction !== undefined || this.#next !== undefined) return;
    if (this.#deps.isDraining()) this.#say(replies.draining);
    else if (this.#time?.isOver) this.#say(replies.sessionTooLong);
  }

  get #stream(): WireStream | undefined {
    return this._parser instanceof WireStream ? this._parser : undefined;
  }

  get #limits(): LimitsConfig {
    return this.#deps.state().config.limits;
  }
}
