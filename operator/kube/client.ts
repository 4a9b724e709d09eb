/**
 * The API server as JSON in, JSON out. One request is one attempt, but for two faults that are nobody's: a token that has just been
 * replaced (401, read again once) and an idle connection that the server has just closed. Everything else is the caller's to repeat:
 * the reflector and the queue know how long to wait.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../relay/clock.ts';
import type { Connection } from './connection.ts';
import { linkedSignal, withDeadline } from './deadline.ts';
import { ApiError, ConnectionError, faultOf, type Status } from './errors.ts';
import { jsonLines, parseJson } from './json-lines.ts';
import type { MetricSink } from './metrics.ts';
import { createTransport, isStaleConnection, type Method } from './transport.ts';

export interface Request {
  readonly method: Method;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** How the answer should look, where not as the object itself. */
  readonly accept?: string | undefined;
  readonly signal: AbortSignal;
  /** Asked at the last moment before it is sent; what it throws is thrown, and nothing was sent. */
  readonly beforeSend?: () => void;
  /** For the whole answer; for a watch, for its head. */
  readonly timeoutMs?: number;
}

export interface KubeClient {
  readonly namespace: string | undefined;
  request<T>(request: Request): Promise<T>;
  /** The lines of a watch, until the server ends it, the signal is aborted or the iteration is left. */
  watch(request: Omit<Request, 'method' | 'body' | 'contentType'>): Promise<AsyncGenerator<unknown>>;
  close(): void;
}

export interface ClientOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  readonly metrics: MetricSink;
  readonly userAgent?: string;
  readonly timeoutMs?: number;
  readonly largestAnswerBytes?: number;
}

const json = 'application/json';

/** etcd keeps objects below 1.5 MiB; this is one of them with room for its managedFields and its JSON. */
const longestLineBytes = 16 * 2 ** 20;

export function createClient({
  connection,
  clock,
  metrics,
  userAgent = 'postroad',
  timeoutMs = 15_000,
  largestAnswerBytes = 64 * 2 ** 20,
}: ClientOptions): KubeClient {
  const transport = createTransport(connection, clock);

  /** The head of a good answer; a refusal is thrown. */
  async function send(request: Omit<Request, 'timeoutMs'>): Promise<IncomingMessage> {
    const { method, signal, body, contentType = json, accept = json } = request;
    const wire = {
      method,
      path: request.path + queryOf(request.query),
      headers: {
        accept,
        'user-agent': userAgent,
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      signal,
      beforeSend: request.beforeSend,
    };
    const answer = await transport.send(wire).catch(async (error: unknown) => {
      // A POST may have been carried out all the same.
      if (method === 'POST' || !isStaleConnection(error)) throw error;
      return await transport.send(wire);
    });
    if (isGood(answer)) return answer;
    const refusal = await refusalOf(answer, `${method} ${request.path}`);
    if (refusal.status !== 401) throw refusal;
    transport.forgetCredentials();
    const second = await transport.send(wire);
    if (isGood(second)) return second;
    throw await refusalOf(second, `${method} ${request.path}`);
  }

  async function counted<T>(method: Method, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      metrics.add('postroad_operator_requests_total', { method, code: '200' });
      return result;
    } catch (error) {
      metrics.add('postroad_operator_requests_total', { method, code: faultOf(error) });
      throw error;
    }
  }

  function deadline({
    method,
    path,
    signal,
    timeoutMs: limitMs = timeoutMs,
  }: Request): Parameters<typeof withDeadline>[0] {
    return { clock, limitMs, signal, reason: () => new ConnectionError(`${method} ${path}`, 'Timeout') };
  }

  return {
    namespace: connection.namespace,
    async request<T>(request: Request): Promise<T> {
      const startedMs = clock.now();
      const { method } = request;
      return await counted(method, () =>
        withDeadline(deadline(request), async signal => {
          const answer = await send({ ...request, signal });
          const body = parseJson(await readAll(answer, largestAnswerBytes)) as T;
          const seconds = Math.max(0, clock.now() - startedMs) / 1000;
          metrics.observe('postroad_operator_request_seconds', { method }, seconds);
          return body;
        }),
      );
    },
    async watch(request) {
      const whole = { ...request, method: 'GET' as const };
      const life = linkedSignal(request.signal);
      try {
        const answer = await counted('GET', () =>
          withDeadline(deadline(whole), async signal => {
            // The deadline is for the head; the signal of the whole watch goes to the connection.
            const late = (): void => life.abort(signal.reason);
            signal.addEventListener('abort', late, { once: true });
            try {
              return await send({ ...whole, signal: life.signal });
            } finally {
              signal.removeEventListener('abort', late);
            }
          }),
        );
        return linesOf(answer, life);
      } catch (error) {
        life[Symbol.dispose]();
        throw error;
      }
    },
    close: () => transport.close(),
  };
}

async function* linesOf(answer: IncomingMessage, life: ReturnType<typeof linkedSignal>): AsyncGenerator<unknown> {
  try {
    yield* jsonLines(answer, longestLineBytes);
  } catch (error) {
    if (life.signal.aborted) throw life.signal.reason;
    throw error instanceof ConnectionError ? error : new ConnectionError('watch', 'Unreachable', error);
  } finally {
    answer.destroy();
    life[Symbol.dispose]();
  }
}

function isGood({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300;
}

/** A refusal's body is a Status; a proxy's or a starting server's may be anything. */
const largestRefusalBytes = 256 * 1024;

async function refusalOf(answer: IncomingMessage, what: string): Promise<ApiError> {
  const { statusCode = 0, headers } = answer;
  const body = await readAll(answer, largestRefusalBytes);
  return new ApiError(what, { ...statusOf(body), code: statusCode }, retryAfterMs(headers['retry-after']));
}

function statusOf(body: Buffer): Status {
  try {
    const json: unknown = parseJson(body);
    return typeof json === 'object' && json !== null ? (json as Status) : {};
  } catch {
    return { message: body.toString('utf8').slice(0, 200) };
  }
}

/** RFC 9110 s10.2.3; Kubernetes sends seconds only, so a date says nothing here. */
function retryAfterMs(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

async function readAll(answer: IncomingMessage, largestBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > largestBytes) throw new ConnectionError('answer', 'TooLarge');
    }
  } catch (error) {
    throw error instanceof ConnectionError ? error : new ConnectionError('answer', 'Unreachable', error);
  }
  return Buffer.concat(chunks, bytes);
}

function queryOf(query: Request['query'] = {}): string {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
