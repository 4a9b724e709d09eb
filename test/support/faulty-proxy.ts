/** A proxy before an API server that fails as told: refuses, delays, breaks connections, and lets watches fall silent. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type { TestApiServer } from './apiserver.ts';

export interface Refusal {
  readonly status: 409 | 429 | 500;
  /** Of 1: how many of the requests are refused. */
  readonly share: number;
  readonly methods: readonly string[];
  readonly retryAfterSeconds?: number;
  /** Decides by chance which. */
  readonly random: () => number;
}

export interface FaultyProxy extends AsyncDisposable {
  readonly url: string;
  refusal: Refusal | undefined;
  delayMs: number;
  /** Takes no connections, and breaks those that there are. */
  isDown: boolean;
  /** How many were refused. */
  readonly refused: number;
  /** Watches under way of this path: nothing more is heard of them, and they stay open. Returns how many there are. */
  silence(path: RegExp): number;
  /** Breaks every connection, once. */
  cut(): void;
}

interface OpenWatch {
  readonly path: string;
  isSilent: boolean;
}

/** It shows the API server's own certificate. */
export async function startFaultyProxy(server: TestApiServer): Promise<FaultyProxy> {
  const [ca, cert, key] = await Promise.all(
    [server.caFile, server.keys.certificateFile, server.keys.privateKeyFile].map(file => readFile(file)),
  );
  const agent = new Agent({ ca, keepAlive: true });
  const sockets = new Set<Duplex>();
  const watches = new Set<OpenWatch>();
  const state = { refusal: undefined as Refusal | undefined, delayMs: 0, isDown: false, refused: 0 };

  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };

  function isRefused({ method = '' }: IncomingMessage): boolean {
    const { refusal } = state;
    return refusal?.methods.includes(method) === true && refusal.random() < refusal.share;
  }

  function refuse(answer: ServerResponse, { status, retryAfterSeconds }: Refusal): void {
    state.refused += 1;
    const reason = { 409: 'Conflict', 429: 'TooManyRequests', 500: 'InternalError' }[status];
    const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
    answer.writeHead(status, { 'content-type': 'application/json', ...headers });
    answer.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code: status }));
  }

  function pass(question: IncomingMessage, answer: ServerResponse): void {
    const { method, headers, url = '' } = question;
    const upstream = request(`${server.url}${url}`, { agent, method, headers }, found => {
      answer.writeHead(found.statusCode ?? 502, found.headers);
      answer.flushHeaders();
      if (url.includes('watch=true')) follow(url, found, answer);
      else found.pipe(answer);
      found.on('error', () => answer.destroy());
    });
    upstream.on('error', () => answer.destroy());
    answer.on('close', () => upstream.destroy());
    question.pipe(upstream);
  }

  function follow(path: string, found: IncomingMessage, answer: ServerResponse): void {
    const watch: OpenWatch = { path, isSilent: false };
    watches.add(watch);
    found.on('data', (chunk: Buffer) => void (watch.isSilent || answer.write(chunk)));
    found.on('end', () => void (watch.isSilent || answer.end()));
    answer.on('close', () => watches.delete(watch));
  }

  async function take(question: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (state.delayMs > 0) await setTimeout(state.delayMs);
    const { refusal } = state;
    if (refusal !== undefined && isRefused(question)) {
      question.resume();
      refuse(answer, refusal);
    } else pass(question, answer);
  }

  const front = createServer({ cert, key }, (question, answer) => {
    take(question, answer).catch(() => answer.destroy());
  });
  front.on('connection', socket => {
    if (state.isDown) socket.destroy();
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  front.on('tlsClientError', () => undefined);
  await new Promise<void>(resolve => front.listen(0, '127.0.0.1', resolve));
  const { port } = front.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    get refusal() {
      return state.refusal;
    },
    set refusal(refusal) {
      state.refusal = refusal;
    },
    get delayMs() {
      return state.delayMs;
    },
    set delayMs(delayMs) {
      state.delayMs = delayMs;
    },
    get isDown() {
      return state.isDown;
    },
    set isDown(isDown) {
      state.isDown = isDown;
      if (isDown) cut();
    },
    get refused() {
      return state.refused;
    },
    silence(path) {
      const found = [...watches].filter(watch => path.test(watch.path));
      for (const watch of found) watch.isSilent = true;
      return found.length;
    },
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise<void>(resolve => front.close(() => resolve()));
      agent.destroy();
    },
  };
}
