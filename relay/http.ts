/**
 * The relay's HTTP side: probes, metrics, and what the Capture route kept. Nothing that changes state. Captured mail is everybody's who sent
 * through the relay, so that by default only its own machine sees it: in a cluster, who may forward a port of the pod.
 */
import { isIP } from 'node:net';
import type { Readable } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { Log } from './log.ts';

export interface CapturedMessage {
  readonly id: string;
  readonly reversePath: string;
  readonly forwardPaths: readonly string[];
  /** RFC 3339. */
  readonly receivedTime: string;
  /** Bytes. */
  readonly size: number;
}

export interface HttpDependencies {
  /** Rejects when the write path does not work. */
  readonly probe: () => Promise<void>;
  readonly isDraining: () => boolean;
  /** Text of /metrics, and its media type. */
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
  readonly captured: {
    list(): Promise<readonly CapturedMessage[]>;
    /** The raw message; undefined when there is none of that id. */
    read(id: string): Promise<Readable | undefined>;
  };
  readonly log: Log;
}

export interface HttpBind {
  readonly address: string;
  readonly port: number;
  /** Who may see captured mail: connections over loopback, or all. */
  readonly captured: 'Loopback' | 'Everybody';
  readonly maxConnections?: number;
}

/** A probe that does not answer is a probe that failed: kubelet's own limit is 1 s by default. */
const probeTimeoutMs = 5000;
/** Clients that say nothing, or read nothing, give their connection back after this. */
const idleTimeoutMs = 30_000;
/** Prometheus, kubelet and a few people: beyond it somebody collects connections, of which SMTP needs its share. */
const maxConnections = 1000;

export async function startHttp(
  dependencies: HttpDependencies,
  bind: HttpBind,
): Promise<{ readonly address: string; readonly port: number; close(): Promise<void> }> {
  const server = fastify({
    bodyLimit: 1024,
    requestTimeout: 30_000,
    connectionTimeout: idleTimeoutMs,
    forceCloseConnections: true,
  });
  server.server.maxConnections = bind.maxConnections ?? maxConnections;
  server.setErrorHandler(async (error, request, answer) => {
    dependencies.log.error({ path: request.routeOptions.url ?? '', error: String(error) }, 'request failed');
    await answer.code(500).send({ error: 'internal error; the log has the cause' });
  });
  if (isLoopback(bind.address)) server.addHook('onRequest', refuseForeignName);
  addProbes(server, dependencies);
  server.register(async scope => {
    if (bind.captured === 'Loopback') scope.addHook('onRequest', refuseForeigners);
    addCaptured(scope, dependencies);
  });
  server.get('/metrics', async (_request, answer) => {
    const { text, contentType } = await dependencies.metrics();
    return answer.type(contentType).send(text);
  });
  await server.listen({ host: bind.address, port: bind.port });
  const [bound] = server.addresses();
  if (bound === undefined || typeof bound === 'string')
    throw new Error('the HTTP server has no address after it began to listen');
  return { address: bound.address, port: bound.port, close: () => server.close() };
}

/** Also as a socket of both families says it. */
function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address ?? '');
}

/** Both ends: the proxy of a service mesh brings connections of others to the pod's address from one of loopback. */
async function refuseForeigners(request: FastifyRequest, answer: FastifyReply): Promise<void> {
  const { remoteAddress, localAddress } = request.socket;
  if (isLoopback(remoteAddress) && isLoopback(localAddress)) await refuseForeignName(request, answer);
  else
    await answer.code(403).send({ error: 'captured mail is shown over loopback alone: forward the port of the pod' });
}

/**
 * A page of the Internet can give its own name the address of this machine (DNS rebinding); a browser then lets it read what we
 * answer, captured mail too. What is bound for this machine alone answers to no such name.
 */
async function refuseForeignName({ hostname }: FastifyRequest, answer: FastifyReply): Promise<void> {
  const own = hostname === 'localhost' || isIP(hostname.replaceAll(/^\[|\]$/g, '')) !== 0;
  if (!own) await answer.code(421).send({ error: 'this is for its own machine: ask for 127.0.0.1 or localhost' });
}

function addProbes(server: FastifyInstance, { probe, isDraining, log }: HttpDependencies): void {
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', async (_request, answer) => {
    if (isDraining()) return answer.code(503).send({ status: 'draining' });
    try {
      await within(probeTimeoutMs, probe());
      return { status: 'ready' };
    } catch (error) {
      log.warn({ error: String(error) }, 'not ready: the queue does not take messages');
      return answer.code(503).send({ status: 'the queue does not take messages' });
    }
  });
}

function addCaptured(server: FastifyInstance, { captured }: HttpDependencies): void {
  server.get('/', (_request, answer) => answer.redirect('/captured'));
  server.get('/captured', async (request, answer) => {
    const messages = await captured.list();
    return wantsHtml(request) ? sendPage(answer, messages) : answer.send(messages);
  });
  server.get<{ Params: { id: string } }>('/captured/:id', async (request, answer) => {
    const message = await captured.read(request.params.id);
    if (message === undefined) return answer.code(404).send({ error: 'no captured message has that id' });
    // text/plain and nosniff: a captured message is hostile input, and must not run in the viewer's browser.
    return answer
      .header('x-content-type-options', 'nosniff')
      .header('content-security-policy', "default-src 'none'; sandbox")
      .type(wantsHtml(request) ? 'text/plain; charset=utf-8' : 'message/rfc822')
      .send(message);
  });
}

function wantsHtml(request: FastifyRequest): boolean {
  return request.headers.accept?.includes('text/html') ?? false;
}

function sendPage(answer: FastifyReply, messages: readonly CapturedMessage[]): FastifyReply {
  const rows = messages.map(
    ({ id, reversePath, forwardPaths, receivedTime, size }) =>
      `<tr><td><a href="/captured/${escapeHtml(id)}">${escapeHtml(id)}</a></td><td>${escapeHtml(receivedTime)}</td>` +
      `<td>${escapeHtml(`<${reversePath}>`)}</td><td>${escapeHtml(forwardPaths.join(', '))}</td><td>${size}</td></tr>`,
  );
  return answer
    .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
    .type('text/html; charset=utf-8')
    .send(
      '<!doctype html><html lang="en"><meta charset="utf-8"><title>Captured mail</title>' +
        '<style>body{font-family:sans-serif;margin:2em}td,th{padding:.3em 1em;text-align:left;border-bottom:1px solid #ccc}</style>' +
        `<h1>Captured mail</h1><p>${messages.length} messages; none of them left this relay.</p>` +
        `<table><tr><th>Message</th><th>Received</th><th>From</th><th>To</th><th>Bytes</th></tr>${rows.join('')}</table></html>`,
    );
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
