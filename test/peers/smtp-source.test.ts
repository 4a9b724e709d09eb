import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCountingSink } from '../support/counting-sink.ts';
import { mustRun } from '../support/processes.ts';
import { programsMissing } from '../support/programs.ts';
import { drained, metric, relayConfig, startRelayProcess } from '../support/relay-process.ts';

const messages = 20_000;
const sessions = 20;

test("20,000 messages of Postfix's smtp-source in 20 sessions all arrive, none of them twice", {
  skip: programsMissing('smtp-source'),
}, async t => {
  await using sink = await startCountingSink();
  const smartHost = { host: '127.0.0.1', port: sink.port, tls: 'Disabled' as const };
  await using relay = await startRelayProcess(relayConfig({ route: { type: 'SmartHost', smartHost } }));
  const begun = performance.now();
  // -N: a number of its own before each recipient; -d: many messages a session.
  const load = ['-d', '-N', '-s', String(sessions), '-m', String(messages), '-l', '4096'];
  const paths = ['-f', 'source@example.com', '-t', 'r@next.example', '-M', 'client.test'];
  await mustRun('smtp-source', [...load, ...paths, `inet:127.0.0.1:${relay.port()}`], { timeoutMs: 90_000 });
  const sentSeconds = (performance.now() - begun) / 1000;
  const metrics = await drained(relay);
  const seconds = (performance.now() - begun) / 1000;
  t.diagnostic(
    `smtp-source: ${messages} messages accepted in ${sentSeconds.toFixed(1)} s, delivered in ${seconds.toFixed(1)} s`,
  );
  const { receptions } = await sink.record();
  assert.equal(receptions.length, messages, 'none twice');
  assert.equal(new Set(receptions.map(({ recipient }) => recipient)).size, messages, 'none missing');
  assert.equal(metric(metrics, 'postroad_queue_delivered_recipients_total'), messages);
});
