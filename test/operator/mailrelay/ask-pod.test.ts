import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { test } from 'node:test';
import { askPod } from '../../../operator/mailrelay/ask-pod.ts';
import type { PodReport } from '../../../operator/mailrelay/pod-report.ts';

const { signal } = new AbortController();
const metrics = 'postroad_config_revision_info{revision="1"} 1\npostroad_queue_recipients{state="Held"} 2\n';

async function ask(answer: RequestListener, address = '127.0.0.1'): Promise<PodReport | undefined> {
  const server = createServer(answer);
  await new Promise<void>(resolve => server.listen(0, address, resolve));
  try {
    const bound = server.address();
    assert.ok(typeof bound === 'object' && bound !== null);
    return await askPod({ address, port: bound.port, signal });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

for (const address of ['127.0.0.1', '::1']) {
  test(`a pod at ${address} is asked for its metrics`, async () => {
    let asked: string | undefined;
    const report = await ask((request, response) => {
      asked = `${request.method} ${request.url}`;
      response.end(metrics);
    }, address);
    assert.equal(asked, 'GET /metrics');
    assert.deepEqual(report, {
      ...{ revision: '1', queuedRecipients: 2, openSessions: 0 },
      ...{ deliveries: 0, storeTroubles: [] },
    });
  });
}

test('an answer that is no success is none', async () => {
  assert.equal(await ask((_, response) => response.writeHead(503).end(metrics)), undefined);
});

test('an answer without an end is cut off at its limit', async () => {
  let sent = 0;
  const report = await ask((_, response) => {
    response.write(metrics);
    const more = (): void => {
      while (!response.destroyed && sent < 2 ** 26) {
        sent += 65_536;
        if (!response.write(Buffer.alloc(65_536, 35))) break;
      }
    };
    response.on('drain', more);
    more();
  });
  assert.equal(report, undefined);
  assert.ok(sent < 2 ** 25, `${sent} bytes were taken`);
});

test('a pod that says nothing is given up after two seconds', async () => {
  const startMs = performance.now();
  assert.equal(await ask(() => undefined), undefined);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs > 1900 && tookMs < 5000, String(tookMs));
});

test('an address where nobody is is no answer, and an end of the term ends the question', async () => {
  assert.equal(await askPod({ address: '127.0.0.1', port: 9, signal }), undefined);
  assert.equal(await askPod({ address: '127.0.0.1', port: 9, signal: AbortSignal.abort() }), undefined);
});
