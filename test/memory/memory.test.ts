import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCountingSink } from '../support/counting-sink.ts';
import { freePort } from '../support/free-port.ts';
import { RawClient } from '../support/raw-client.ts';
import {
  assertConservation,
  drained,
  metric,
  queuedRecipients,
  relayConfig,
  startRelayProcess,
} from '../support/relay-process.ts';
import { waitUntil } from '../support/wait-until.ts';

const mib = 1024 * 1024;
const limitBytes = 400 * mib;
const line = `${'memory '.repeat(10)}\r\n`;

function content(sizeBytes: number): Buffer {
  return Buffer.from(`From: me@example.com\r\nSubject: size\r\n\r\n${line.repeat(Math.ceil(sizeBytes / line.length))}`);
}

async function sendAll(port: number, messages: number, body: Buffer): Promise<void> {
  let next = 0;
  async function session(): Promise<void> {
    const client = await RawClient.open(port);
    while (next < messages) {
      const recipients = [`r${next++}@next.example`];
      const result = await client.send({ reversePath: 'me@example.com', recipients, content: body });
      assert.equal(result.outcome, 'accepted', JSON.stringify(result));
    }
    await client.quit();
  }
  await Promise.all(Array.from({ length: 20 }, session));
}

test('100,000 queued messages stay within 400 MiB, and a restart with them is ready within 3 seconds', async t => {
  const messages = 100_000;
  // Nobody listens there, so the system refuses.
  const smartHost = { host: '127.0.0.1', port: await freePort(), tls: 'Disabled' as const };
  await using relay = await startRelayProcess(relayConfig({ route: { type: 'SmartHost', smartHost } }));
  const begun = performance.now();
  await sendAll(relay.port(), messages, content(4 * 1024));
  const seconds = (performance.now() - begun) / 1000;
  const metrics = await relay.metrics();
  assert.equal(queuedRecipients(metrics), messages);
  assertConservation(metrics);
  const fullBytes = await relay.peakMemoryBytes();
  t.diagnostic(`${messages} messages queued in ${seconds.toFixed(1)} s; peak RSS ${(fullBytes / mib).toFixed(0)} MiB`);
  assert.ok(fullBytes < limitBytes, `${(fullBytes / mib).toFixed(0)} MiB`);

  await relay.kill();
  await relay.start();
  assert.equal(queuedRecipients(await relay.metrics()), messages);
  // It answers clients, too.
  const client = await RawClient.open(relay.port());
  await client.quit();
  const againBytes = await relay.peakMemoryBytes();
  t.diagnostic(`after SIGKILL: ready in ${relay.readyMs.toFixed(0)} ms; peak RSS ${(againBytes / mib).toFixed(0)} MiB`);
  assert.ok(relay.readyMs < 3000, `${relay.readyMs.toFixed(0)} ms`);
  assert.ok(againBytes < limitBytes, `${(againBytes / mib).toFixed(0)} MiB`);
});

test('20 messages of 20 MiB at the same time stay within 400 MiB, on their way in and out', async t => {
  await using sink = await startCountingSink();
  const smartHost = { host: '127.0.0.1', port: sink.port, tls: 'Disabled' as const };
  await using relay = await startRelayProcess(relayConfig({ route: { type: 'SmartHost', smartHost } }));
  const begun = performance.now();
  await sendAll(relay.port(), 20, content(20 * mib));
  await waitUntil('all at the next hop', async () => (await sink.received()) === 20, { limitMs: 60_000, everyMs: 100 });
  const seconds = (performance.now() - begun) / 1000;
  const metrics = await drained(relay);
  assert.equal(metric(metrics, 'postroad_queue_delivered_recipients_total'), 20);
  const peakBytes = await relay.peakMemoryBytes();
  t.diagnostic(`20 x 20 MiB through in ${seconds.toFixed(1)} s; peak RSS ${(peakBytes / mib).toFixed(0)} MiB`);
  assert.ok(peakBytes < limitBytes, `${(peakBytes / mib).toFixed(0)} MiB`);
});
