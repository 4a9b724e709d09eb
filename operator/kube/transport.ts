/** Requests as bytes: agents by their TLS material, credentials read again now and then. Knows nothing of Kubernetes' answers. */
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../../relay/clock.ts';
import type { Connection, Credentials, TlsMaterial } from './connection.ts';
import { ConnectionError } from './errors.ts';

export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';

export interface WireRequest {
  readonly method: Method;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  readonly signal: AbortSignal;
  /** Called when the connection is there, just before the first byte; what it throws is why nothing was sent. */
  readonly beforeSend?: (() => void) | undefined;
}

export interface Transport {
  /** Resolves with the head of the answer; its body is still to be read. */
  send(request: WireRequest): Promise<IncomingMessage>;
  /** Reads the credentials again with the next request: the server did not take them. */
  forgetCredentials(): void;
  close(): void;
}

/** As client-go does: a token is read again after a minute at the latest. */
const credentialsMs = 60_000;
/** Dead peers are found even where no request is under way. */
const keepAliveMs = 30_000;

interface Session extends Credentials {
  readonly agent: HttpAgent;
  readonly readTimeMs: number;
}

export function createTransport(connection: Connection, clock: Clock): Transport {
  const server = new URL(connection.server);
  const isTls = server.protocol === 'https:';
  const base = server.pathname.replace(/\/$/, '');
  let session: Session | undefined;
  let reading: Promise<Session> | undefined;

  function agentFor(tls: TlsMaterial): HttpAgent {
    if (session !== undefined && isSame(session.tls, tls)) return session.agent;
    const options = { keepAlive: true, keepAliveMsecs: keepAliveMs };
    const agent = isTls ? new HttpsAgent({ ...options, ...tls }) : new HttpAgent(options);
    if (session !== undefined) retire(session.agent);
    return agent;
  }

  async function readSession(): Promise<Session> {
    const { headers, tls } = await connection.credentials();
    session = { headers, tls, agent: agentFor(tls), readTimeMs: clock.now() };
    return session;
  }

  async function currentSession(): Promise<Session> {
    const ageMs = session === undefined ? Number.POSITIVE_INFINITY : clock.now() - session.readTimeMs;
    // A clock that was set back makes them look young for long, so an age below zero counts as old.
    if (session !== undefined && ageMs >= 0 && ageMs < credentialsMs) return session;
    reading ??= readSession().finally(() => {
      reading = undefined;
    });
    return await reading;
  }

  return {
    async send({ method, path, headers, body, signal, beforeSend }) {
      const { headers: identity, agent } = await currentSession();
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const request = (isTls ? httpsRequest : httpRequest)({
        agent,
        method,
        host: server.hostname.replace(/^\[|\]$/g, ''),
        port: server.port === '' ? (isTls ? 443 : 80) : server.port,
        path: base + path,
        headers: { ...headers, ...identity, ...(body === undefined ? {} : { 'content-length': body.length }) },
        signal,
      });
      request.once('response', resolve);
      // Stays: a connection that breaks after the answer's head says so here too.
      request.on('error', cause => {
        if (cause instanceof NotSentError) reject(cause.cause);
        else if (signal.aborted) reject(signal.reason);
        else reject(Object.assign(unreachable(method, path, cause), { isStaleConnection: request.reusedSocket }));
      });
      if (beforeSend === undefined) request.end(body);
      else request.once('socket', socket => whenConnected(socket, () => endOrDestroy(request, body, beforeSend)));
      return await promise;
    },
    forgetCredentials() {
      if (session !== undefined) session = { ...session, readTimeMs: Number.NEGATIVE_INFINITY };
    },
    close() {
      session?.agent.destroy();
    },
  };
}

class NotSentError extends Error {
  override readonly name = 'NotSentError';
}

/** A handshake is long enough for a machine to be paused in. */
function whenConnected(socket: Socket, act: () => void): void {
  if (socket.connecting) socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', act);
  else act();
}

function endOrDestroy(request: ClientRequest, body: Buffer | undefined, beforeSend: () => void): void {
  try {
    beforeSend();
  } catch (cause) {
    request.destroy(new NotSentError('not sent', { cause }));
    return;
  }
  request.end(body);
}

/** What is under way on it may end there; idle connections hold credentials that are no longer ours, and no more become idle. */
function retire(agent: HttpAgent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

function unreachable(method: Method, path: string, cause: Error): ConnectionError {
  return new ConnectionError(`${method} ${path.split('?')[0]}`, 'Unreachable', cause);
}

/** The server closed an idle connection just as we took it up: nothing was wrong with the request. */
export function isStaleConnection(error: unknown): boolean {
  return error instanceof ConnectionError && 'isStaleConnection' in error && error.isStaleConnection === true;
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  return (
    sameBytes(a.ca, b.ca) &&
    sameBytes(a.cert, b.cert) &&
    sameBytes(a.key, b.key) &&
    a.servername === b.servername &&
    a.rejectUnauthorized === b.rejectUnauthorized
  );
}

function sameBytes(a: string | Buffer | undefined, b: string | Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && Buffer.from(a).equals(Buffer.from(b)));
}
