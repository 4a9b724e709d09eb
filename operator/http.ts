/** What kubelet and Prometheus ask of the operator. Nothing here changes anything or tells a secret. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '../relay/log.ts';

/** Undefined: all is well; else what is not. */
export type Check = () => string | undefined;

export interface HttpParts {
  /** Failing: only a new process would help. */
  readonly health: Check;
  readonly readiness: Check;
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
  readonly log: Log;
}

export interface HttpServer {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

const requestTimeoutMs = 30_000;
/** Prometheus, kubelet and a few people. */
const maxConnections = 200;

export async function startHttp(
  parts: HttpParts,
  bind: { readonly address: string | undefined; readonly port: number },
): Promise<HttpServer> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    route(parts, request).then(
      ({ status, text, type = 'text/plain; charset=utf-8' }) => {
        response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' });
        response.end(request.method === 'HEAD' ? undefined : text);
      },
      (error: unknown) => {
        parts.log.error({ err: error }, 'a request failed');
        response.writeHead(500).end('internal error; the log has the cause\n');
      },
    );
  };
  const server = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs }, answer);
  server.maxConnections = maxConnections;
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ port: bind.port, ...(bind.address !== undefined && { host: bind.address }) }, resolve);
  await listening;
  server.off('error', reject);
  server.on('error', error => parts.log.error({ err: error }, 'the HTTP listener failed'));
  const { address, port } = server.address() as AddressInfo;
  return {
    address,
    port,
    async close() {
      const closed = new Promise<void>(done => {
        server.close(() => done());
      });
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly type?: string;
}

async function route(parts: HttpParts, { method, url = '/' }: IncomingMessage): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, text: 'only GET\n' };
  switch (url.split('?')[0]) {
    case '/healthz':
      return verdict(parts.health());
    case '/readyz':
      return verdict(parts.readiness());
    case '/metrics': {
      const { text, contentType } = await parts.metrics();
      return { status: 200, text, type: contentType };
    }
    default:
      return { status: 404, text: 'there are /healthz, /readyz and /metrics\n' };
  }
}

function verdict(fault: string | undefined): Answer {
  return fault === undefined ? { status: 200, text: 'ok\n' } : { status: 503, text: `${fault}\n` };
}
