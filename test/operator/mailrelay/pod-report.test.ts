import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mostReportBytes, podReportOf } from '../../../operator/mailrelay/pod-report.ts';
import { createMetrics } from '../../../relay/metrics.ts';

test('the metrics of a relay say what it runs and how much it holds', async () => {
  const metrics = createMetrics();
  metrics.postroad_config_revision_info.set({ revision: '08902db07a35fbab' }, 1);
  metrics.postroad_queue_recipients.set({ state: 'Waiting' }, 40);
  metrics.postroad_queue_recipients.set({ state: 'Held' }, 2);
  metrics.postroad_accept_sessions_open.set({ listener: 'smtp' }, 3);
  metrics.postroad_schedule_deliveries_running.set(5);
  metrics.postroad_queue_store_trouble.set({ reason: 'EvictionPolicy' }, 0);
  metrics.postroad_queue_store_trouble.set({ reason: 'AppendOnlyDisabled' }, 1);
  assert.deepEqual(podReportOf(await metrics.registry.metrics()), {
    revision: '08902db07a35fbab',
    queuedRecipients: 42,
    openSessions: 3,
    deliveries: 5,
    storeTroubles: ['AppendOnlyDisabled'],
  });
});

test('a queue with a part that does not answer is not empty, whatever was last heard of it', () => {
  const text = (away: number) =>
    'postroad_config_revision_info{revision="1"} 1\n' +
    `postroad_queue_recipients{state="Waiting"} 0\npostroad_queue_parts_away ${away}\n`;
  assert.equal(podReportOf(text(2))?.queuedRecipients, 2);
  assert.equal(podReportOf(text(0))?.queuedRecipients, 0);
});

test('a count beyond a thousand million million is still a count', () => {
  const text = 'postroad_config_revision_info{revision="1"} 1\npostroad_queue_recipients{state="Waiting"} 1e+21\n';
  assert.equal(podReportOf(text)?.queuedRecipients, 1e21);
});

for (const [what, text] of [
  ['nothing', ''],
  ['a page', '<html>not found</html>'],
  ['a relay without a configuration', 'postroad_queue_recipients{state="Waiting"} 0\n'],
  [
    'a relay that does not say what it holds',
    'postroad_config_revision_info{revision="1"} 1\npostroad_queue_parts_away 0\n',
  ],
  [
    'a revision that it ran before',
    'postroad_config_revision_info{revision="1"} 0\npostroad_queue_recipients{state="Held"} 0\n',
  ],
] as const) {
  test(`${what} is no report`, () => {
    assert.equal(podReportOf(text), undefined);
  });
}

for (const [what, part] of [
  ['lines that begin as a metric and never end', 'postroad_queue_recipients{\n'],
  ['one line without an end', 'postroad_queue_recipients{'],
  ['revisions without an end', 'postroad_config_revision_info{revision="'],
] as const) {
  test(`a hostile pod cannot keep the operator busy: a megabyte of ${what} is read in an instant`, () => {
    const text = part.repeat(Math.floor(mostReportBytes / part.length));
    const before = performance.now();
    assert.equal(podReportOf(text), undefined);
    // It took minutes when a pattern ran over the ends of lines; it is 5 ms now.
    assert.ok(performance.now() - before < 1000, `${performance.now() - before} ms`);
  });
}
