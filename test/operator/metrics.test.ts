import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operatorMetrics } from '../../operator/metric-definitions.ts';
import { createOperatorMetrics } from '../../operator/metrics.ts';

test('what is told is what Prometheus reads', async () => {
  const metrics = createOperatorMetrics();
  metrics.add('postroad_operator_events_total', { result: 'Created' });
  metrics.set('postroad_operator_queue_depth', { queue: 'mailrelay' }, 7);
  metrics.observe('postroad_operator_reconcile_seconds', { queue: 'mailrelay' }, 0.01);
  const text = await metrics.registry.metrics();
  assert.match(text, /^postroad_operator_events_total\{result="Created"\} 1$/m);
  assert.match(text, /^postroad_operator_events_total\{result="Dropped"\} 0$/m);
  assert.match(text, /^postroad_operator_queue_depth\{queue="mailrelay"\} 7$/m);
  assert.match(text, /^postroad_operator_reconcile_seconds_count\{queue="mailrelay"\} 1$/m);
  assert.match(text, /^postroad_operator_leader 0$/m);
});

test('each metric says what it is and what a rise means, by the names of the house', () => {
  for (const [name, { type, help, rise }] of Object.entries(operatorMetrics)) {
    assert.match(name, /^postroad_operator_[a-z_]+$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    assert.ok(help.endsWith('.') && rise.length > 5, name);
  }
});
