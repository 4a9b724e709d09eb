/** One request with the server's own answer, refusals included: for tests of what exactly the API server says. */
import type { Connection } from '../../operator/kube/connection.ts';
import { createTransport, type Method } from '../../operator/kube/transport.ts';
import { systemClock } from '../../relay/clock.ts';
import { never } from './api-world.ts';

export interface RawRequest {
  readonly method: Method;
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
}

export interface RawAnswer {
  readonly status: number;
  /** Parsed, where it is JSON; else the text. */
  readonly body: unknown;
}

export interface RawConnection extends Disposable {
  send(request: RawRequest): Promise<RawAnswer>;
}

export function rawConnection(connection: Connection): RawConnection {
  const transport = createTransport(connection, systemClock);
  return {
    async send({ method, path, body, contentType = 'application/json', accept = 'application/json' }) {
      const answer = await transport.send({
        ...{ method, path, signal: never },
        headers: { accept, 'content-type': contentType, 'user-agent': 'test' },
        body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      });
      const text = (await answer.toArray()).map(String).join('');
      const isJson = answer.headers['content-type']?.includes('json') === true;
      return { status: answer.statusCode ?? 0, body: isJson ? JSON.parse(text) : text };
    },
    [Symbol.dispose]: () => transport.close(),
  };
}
