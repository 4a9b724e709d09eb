import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { type CapturedMessage, type HttpDependencies, startHttp } from '../../relay/http.ts';
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
  maxConnections = 1000,
): Promise<{ url: string } & AsyncDisposable> {
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
    { address: '127.0.0.1', port: 0, maxConnections },
  );
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.close() };
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

test('takes a bounded number of connections, so that who collects them leaves SMTP its share', async () => {
  await using http = await serve({}, 2);
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
