/**
 * The only file that knows nodemailer. Its SMTPConnection does greeting, EHLO/HELO, STARTTLS and AUTH over a socket that we
 * opened; then we take the socket over for transactions, since its way of sending content costs more than all the rest.
 */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { isPermanent, type Reply } from '../smtp/reply.ts';
import type { Extensions } from './command.ts';
import { parseReply } from './reply-reader.ts';
import { SmtpSession } from './session.ts';
import { sessionKey, type TlsPlan, type TlsSessions, tlsOptions } from './tls.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** Whether they may be sent over a connection without TLS. */
  readonly inTheClear: boolean;
}

export interface OpenOptions {
  /** Connected. Ours to close from here on. */
  readonly socket: Socket;
  readonly host: string;
  readonly port: number;
  /** Our EHLO name. */
  readonly hostname: string;
  readonly tls: TlsPlan;
  readonly credentials: Credentials | undefined;
  readonly commandTimeoutMs: number;
  readonly tlsSessions: TlsSessions;
  readonly signal: AbortSignal;
}

export class HandshakeError extends Error {
  override name = 'HandshakeError';
  readonly code = 'POSTROAD_HANDSHAKE_FAILED';
  readonly stage: 'Greeting' | 'Tls' | 'Auth' | 'Lost' | 'Timeout' | 'Protocol';
  readonly reply: Reply | undefined;
  constructor(stage: HandshakeError['stage'], message: string, answer?: Reply) {
    super(message);
    this.stage = stage;
    this.reply = answer;
  }

  get permanent(): boolean {
    return this.reply !== undefined && isPermanent(this.reply);
  }
}

/** What we use of the library's insides; its types leave these out. */
interface Insides {
  readonly _ehloLines?: readonly string[];
  /** Kept from the command STARTTLS until its reply. */
  readonly _plaintextEhlo: string | false;
  readonly _supportedAuth: readonly string[];
  readonly _socket: Socket;
  readonly _remainder: string;
  readonly _responseQueue: readonly string[];
  readonly _onSocketData: (chunk: Buffer) => void;
  readonly _onSocketError: (cause: Error) => void;
  readonly _onSocketClose: () => void;
  readonly _onSocketEnd: () => void;
  readonly _onSocketTimeout: () => void;
  _destroyed: boolean;
}

interface LibraryError extends Error {
  readonly code?: string;
  readonly command?: string;
  readonly response?: string;
}

/**
 * Each phase has its own limit; together they may take what three of them may. Without it, a reply that trickles in holds the
 * connection for days, since the library only waits for silence.
 */
const phasesTogether = 3;

/** @throws HandshakeError */
export async function openSession(options: OpenOptions): Promise<SmtpSession> {
  const { tls, host, port } = options;
  const resumed = tls.mode === 'Disabled' ? undefined : options.tlsSessions.get(sessionKey(tls, host, port));
  const connection = new SMTPConnection({
    connection: options.socket,
    host,
    port,
    secure: tls.implicit,
    name: options.hostname,
    ignoreTLS: tls.mode === 'Disabled',
    requireTLS: tls.mode === 'Required' || tls.mode === 'Verified',
    opportunisticTLS: tls.mode === 'Opportunistic',
    // The greeting has its own limit below; this one must not cut it short.
    connectionTimeout: options.commandTimeoutMs * 4,
    greetingTimeout: options.commandTimeoutMs,
    socketTimeout: options.commandTimeoutMs,
    socketCloseTimeout: 1000,
    maxResponseSize: 64 * 1024,
    tls: tlsOptions(tls, host, resumed),
  });
  const insides = connection as unknown as Insides;
  const onAbort = () => connection.close();
  let overdue: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (cause?: Error | null) => reject(handshakeError(connection, cause ?? new Error('closed')));
      connection.on('error', fail);
      connection.once('end', () => fail());
      overdue = setTimeout(() => fail(tooSlow()), options.commandTimeoutMs * phasesTogether);
      options.signal.addEventListener('abort', onAbort, { once: true });
      if (options.signal.aborted) onAbort();
      connection.connect(cause => {
        if (cause) return fail(cause);
        if (options.credentials === undefined) return resolve();
        if (insides._socket instanceof TLSSocket || options.credentials.inTheClear) {
          logIn(connection, options.credentials, { resolve, fail });
        } else {
          fail(loginError('credentials are sent without TLS only where plaintextAuthentication is Allowed'));
        }
      });
    });
    return takeOver(insides, options);
  } catch (cause) {
    connection.close();
    throw cause;
  } finally {
    clearTimeout(overdue);
    options.signal.removeEventListener('abort', onAbort);
  }
}

interface Settle {
  resolve(): void;
  fail(cause: Error): void;
}

function logIn(connection: SMTPConnection, credentials: Credentials, settle: Settle): void {
  const offered = (connection as unknown as Insides)._supportedAuth;
  const method = ['PLAIN', 'LOGIN'].find(known => offered.includes(known));
  if (method === undefined) {
    settle.fail(loginError('the next hop offers neither AUTH PLAIN nor LOGIN'));
    return;
  }
  connection.login({ method, user: credentials.username, pass: credentials.password }, cause => {
    if (cause) settle.fail(cause);
    else settle.resolve();
  });
}

function loginError(message: string): LibraryError {
  return Object.assign(new Error(message), { code: 'EAUTH' });
}

function tooSlow(): LibraryError {
  return Object.assign(new Error('greeting, EHLO, TLS and login together took too long'), { code: 'ETIMEDOUT' });
}

function handshakeError(connection: SMTPConnection, cause: LibraryError): HandshakeError {
  const answer = cause.response === undefined ? undefined : replyOf(cause.response);
  return new HandshakeError(stageOf(connection, cause, answer), cause.message, answer);
}

function stageOf(connection: SMTPConnection, cause: LibraryError, answer: Reply | undefined): HandshakeError['stage'] {
  if (cause.code === 'ETLS' || connection.upgrading === true || (answer === undefined && awaitsTls(connection)))
    return 'Tls';
  if (cause.code === 'EAUTH') return 'Auth';
  if (cause.code === 'ETIMEDOUT') return 'Timeout';
  // STARTTLS was wanted, and the host knows only HELO.
  if (cause.command === 'EHLO' && connection.options.requireTLS === true && !isClosing(answer)) return 'Tls';
  if (answer !== undefined) return 'Greeting';
  return cause.code === 'EPROTOCOL' ? 'Protocol' : 'Lost';
}

/** STARTTLS was sent, and nothing came back. */
function awaitsTls(connection: SMTPConnection): boolean {
  return typeof (connection as unknown as Insides)._plaintextEhlo === 'string';
}

function isClosing(answer: Reply | undefined): boolean {
  return answer?.code === 421;
}

/** As the library keeps replies: lines with their codes, joined by line feeds. */
function replyOf(response: string): Reply | undefined {
  const code = Number(response.slice(0, 3));
  if (!(code >= 200 && code < 600)) return undefined;
  const bytes = Buffer.from(response, 'utf8').toString('latin1');
  return parseReply(
    code,
    bytes.split('\n').map(line => line.slice(4)),
  );
}

function takeOver(insides: Insides, options: OpenOptions): SmtpSession {
  const socket = insides._socket;
  if (insides._remainder !== '' || insides._responseQueue.some(line => line.trim() !== '')) {
    throw new HandshakeError('Protocol', 'the next hop spoke out of turn');
  }
  socket.off('data', insides._onSocketData);
  socket.off('error', insides._onSocketError);
  socket.off('close', insides._onSocketClose);
  socket.off('end', insides._onSocketEnd);
  socket.off('timeout', insides._onSocketTimeout);
  socket.setTimeout(0);
  insides._destroyed = true;
  const tls = socket instanceof TLSSocket ? (socket.getProtocol() ?? 'none') : 'none';
  if (socket instanceof TLSSocket) keepTlsSession(socket, options);
  return new SmtpSession({
    socket,
    tls,
    host: options.host,
    extensions: extensionsOf(insides._ehloLines ?? []),
    commandTimeoutMs: options.commandTimeoutMs,
  });
}

/** TLS 1.3 tickets come after the handshake, some before we took over: the last one known is the one to resume. */
function keepTlsSession(socket: TLSSocket, { tls, host, port, tlsSessions }: OpenOptions): void {
  const key = sessionKey(tls, host, port);
  const known = socket.getSession();
  if (known !== undefined) tlsSessions.set(key, known);
  socket.on('session', session => tlsSessions.set(key, session));
}

/** RFC 5321 s4.1.1.1: keyword, then parameters. */
function extensionsOf(lines: readonly string[]): Extensions {
  return new Map(
    lines.map(line => {
      const [keyword = '', ...parameters] = line.split(' ');
      return [keyword.toUpperCase(), parameters.join(' ')] as const;
    }),
  );
}
