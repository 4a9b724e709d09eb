/**
 * The story: the quickstart serves captured mail on 127.0.0.1, to whatever Host a request names. A web page whose name its owner
 * pointed at 127.0.0.1 after loading (DNS rebinding) could have the developer's browser read all of it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { startHttp } from '../../relay/http.ts';
import { createLog } from '../../relay/log.ts';

async function statusFor(host: string): Promise<number | undefined> {
  const server = await startHttp(
    {
      probe: async () => undefined,
      isDraining: () => false,
      metrics: async () => ({ text: '', contentType: 'text/plain' }),
      captured: { list: async () => [], read: async () => undefined },
      log: createLog('silent'),
    },
    { address: '127.0.0.1', port: 0, captured: 'Loopback' },
  );
  try {
    const request = get({ host: '127.0.0.1', port: server.port, path: '/captured', headers: { host }, agent: false });
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    answer.resume();
    return answer.statusCode;
  } finally {
    await server.close();
  }
}

for (const [host, status] of [
  ['127.0.0.1:8080', 200],
  ['localhost:8080', 200],
  ['[::1]:8080', 200],
  ['127.0.0.1', 200],
  ['evil.example:8080', 421],
  ['127.0.0.1.evil.example', 421],
  ['localhost.evil.example:8080', 421],
] as const)
  test(`captured mail on loopback answers ${status} to Host ${host}`, async () => {
    assert.equal(await statusFor(host), status);
  });
