import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type CapturedMessage, type HttpBind, type HttpDependencies, startHttp } from '../../relay/http.ts';
import { createLog } from '../../relay/log.ts';
import { waitUntil } from '../support/wait-until.ts';

const hostile: CapturedMessage = {
  id: '01',
  reversePath: '<script>alert(1)</script>@example.com',
  forwardPaths: ['"a&b"@example.net'],
  receivedTime: '2026-01-01T00:00:00.000Z',
  size: 10,
};

async function serve(
  changes: Partial<HttpDependencies> = {},
  bind: Partial<HttpBind> = {},
): Promise<{ url: string; port: number } & AsyncDisposable> {
  const server = await startHttp(
    {
      probe: async () => undefined,
      isDraining: () => false,
      metrics: async () => ({ text: 'up 1\n', contentType: 'text/plain' }),
      captured: {
        list: async () => [hostile],
        read: async id => (id === '01' ? Readable.from([Buffer.from('Subject: <b>x</b>\r\n\r\n')]) : undefined),
      },
      log: createLog('silent'),
      ...changes,
    },
    { address: '127.0.0.1', port: 0, captured: 'Loopback', ...bind },
  );
  const { port } = server;
  return { url: `http://127.0.0.1:${port}`, port, [Symbol.asyncDispose]: () => server.close() };
}

test('is ready while the write path works', async () => {
  await using http = await serve();
  assert.equal((await fetch(`${http.url}/readyz`)).status, 200);
  assert.equal((await fetch(`${http.url}/healthz`)).status, 200);
});

test('is not ready, but alive, when the queue does not take messages', async () => {
  await using http = await serve({ probe: () => Promise.reject(new Error('disk')) });
  assert.equal((await fetch(`${http.url}/readyz`)).status, 503);
  assert.equal((await fetch(`${http.url}/healthz`)).status, 200);
});

test('is not ready while draining', async () => {
  await using http = await serve({ isDraining: () => true });
  assert.deepEqual(await (await fetch(`${http.url}/readyz`)).json(), { status: 'draining' });
});

test('lists captured messages as JSON, and as a page to a browser', async () => {
  await using http = await serve();
  assert.deepEqual(await (await fetch(`${http.url}/captured`)).json(), [hostile]);
  const page = await (await fetch(`${http.url}/captured`, { headers: { accept: 'text/html' } })).text();
  assert.match(page, /&lt;script&gt;alert\(1\)&lt;\/script&gt;@example\.com/);
  assert.match(page, /&quot;a&amp;b&quot;@example\.net/);
  assert.doesNotMatch(page, /<script>/);
});

test('gives a captured message raw, and never lets a browser run it', async () => {
  await using http = await serve();
  const answer = await fetch(`${http.url}/captured/01`, { headers: { accept: 'text/html' } });
  assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(await answer.text(), 'Subject: <b>x</b>\r\n\r\n');
  assert.equal((await fetch(`${http.url}/captured/02`)).status, 404);
});

/** An address of this machine that is none of loopback; a machine without network has none, and nobody to hide from. */
const outside = Object.values(networkInterfaces())
  .flatMap(one => one ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
const paths = ['/', '/captured', '/captured/01'];

async function statuses(host: string, port: number, headers = {}): Promise<number[]> {
  const answers = paths.map(async path => {
    const request = get({ host, port, path, headers, agent: false });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    answer.resume();
    return answer.statusCode ?? 0;
  });
  return await Promise.all(answers);
}

for (const address of ['0.0.0.0', '::'])
  test(`captured mail is for loopback alone where HTTP listens at ${address}: it is every tenant's`, async () => {
    await using http = await serve({}, { address });
    assert.deepEqual(await statuses('127.0.0.1', http.port), [302, 200, 200], 'a forwarded port');
    assert.deepEqual(await statuses('127.0.0.1', http.port, { host: 'evil.example' }), [421, 421, 421]);
    if (outside === undefined) return;
    assert.deepEqual(await statuses(outside, http.port), [403, 403, 403]);
    assert.deepEqual(await statuses(outside, http.port, { host: '127.0.0.1' }), [403, 403, 403]);
    assert.equal((await fetch(`http://${outside}:${http.port}/metrics`)).status, 200, 'Prometheus is let in');
  });

test('captured mail is shown to everybody where its one owner says so', async () => {
  await using http = await serve({}, { address: '0.0.0.0', captured: 'Everybody' });
  assert.deepEqual(await statuses(outside ?? '127.0.0.1', http.port), [302, 200, 200]);
});

test('a proxy beside the relay, that takes the connections of others to the address of the pod, is no owner', {
  skip: outside === undefined,
}, async () => {
  await using http = await serve({}, { address: '0.0.0.0' });
  const request = get({ host: outside, port: http.port, path: '/captured', localAddress: '127.0.0.1', agent: false });
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  answer.resume();
  assert.equal(answer.statusCode, 403);
});

test('takes a bounded number of connections, so that who collects them leaves SMTP its share', async () => {
  await using http = await serve({}, { maxConnections: 2 });
  const port = Number(new URL(http.url).port);
  const held = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
  try {
    await Promise.all(held.map(socket => once(socket, 'connect')));
    await assert.rejects(fetch(`${http.url}/healthz`));
  } finally {
    for (const socket of held) socket.destroy();
  }
  await waitUntil('a connection is free again', async () => {
    const answer = await fetch(`${http.url}/healthz`).catch(() => undefined);
    return answer?.status === 200;
  });
});
