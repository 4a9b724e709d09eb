/** An API server as scripted: each request is answered by the first script that takes it, or by 404; what came is kept. */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Connection } from '../../../operator/kube/connection.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  /** The connection that it came by, numbered from 1. */
  readonly connection: number;
}

/** Answers, or returns false for the next script to look at it. */
export type Script = (request: SeenRequest, response: ServerResponse) => unknown;

export interface StubApiServer extends AsyncDisposable {
  readonly url: string;
  readonly connection: Connection;
  readonly requests: readonly SeenRequest[];
  script: Script;
  /** Ends every connection as a dying server does. */
  dropConnections(): void;
}

export interface StubTls {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  readonly caFile: string;
  readonly servername: string;
}

export async function startStubApiServer(script: Script, tls?: StubTls): Promise<StubApiServer> {
  const requests: SeenRequest[] = [];
  const sockets = new Map<Socket, number>();
  let accepted = 0;
  const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
    void answer(message, response);
  };
  const server: Server =
    tls === undefined
      ? createServer(onRequest)
      : createTlsServer(
          { cert: await readFile(tls.certificateFile), key: await readFile(tls.privateKeyFile) },
          onRequest,
        );
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    accepted += 1;
    sockets.set(socket, accepted);
    socket.on('close', () => sockets.delete(socket));
    // A client that goes away in the middle is what many tests are about.
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  const ca = tls === undefined ? undefined : await readFile(tls.caFile);
  const stub = {
    url,
    requests,
    script,
    connection: {
      server: url,
      namespace: undefined,
      credentials: async () => ({
        headers: { authorization: 'Bearer stub' },
        tls: tls === undefined || ca === undefined ? {} : { ca, servername: tls.servername },
      }),
    },
    dropConnections() {
      for (const socket of sockets.keys()) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise(resolve => server.close(resolve));
      for (const socket of sockets.keys()) socket.destroy();
      await closed;
    },
  };

  async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
    const address = new URL(message.url ?? '/', url);
    const text = Buffer.concat(chunks).toString();
    const request: SeenRequest = {
      method: message.method ?? '',
      path: address.pathname,
      query: address.searchParams,
      headers: message.headers,
      body: text === '' ? undefined : JSON.parse(text),
      connection: sockets.get(message.socket) ?? 0,
    };
    requests.push(request);
    if (stub.script(request, response) === false) refuse(response, 404, 'NotFound');
  }

  return stub;
}

export function reply(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

export function refuse(
  response: ServerResponse,
  code: number,
  reason: string,
  { headers = {}, details = {} }: { readonly headers?: Record<string, string>; readonly details?: object } = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ kind: 'Status', code, reason, message: `${reason}, says the stub`, details }));
}
