import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dashboardQueries } from '../../charts/dashboard.ts';
import { operatorAlerts } from '../../operator/alerts.ts';
import { alerts as relayAlerts } from '../../operator/mailrelay/alerts.ts';
import { operatorMetrics } from '../../operator/metric-definitions.ts';
import { definitions as relayMetrics } from '../../relay/metrics.ts';

type Definitions = Readonly<
  Record<string, { readonly type: string; readonly labels?: Readonly<Record<string, readonly string[]>> }>
>;

/** What Prometheus sets, and what every Node process tells of itself. */
const everybodys = ['namespace', 'pod', 'le', 'up', 'process_start_time_seconds'];
const ofProcesses = ['process_resident_memory_bytes', 'process_cpu_seconds_total', ...everybodys];

/** The series of each, with its labels. */
function seriesOf(definitions: Definitions): ReadonlyMap<string, Definitions[string]> {
  return new Map(
    Object.entries(definitions).flatMap(([name, definition]) =>
      definition.type === 'histogram'
        ? ['_bucket', '_sum', '_count'].map(part => [`${name}${part}`, definition] as const)
        : [[name, definition] as const],
    ),
  );
}

/** What a query asks for that is not there: metrics, labels of them, and values that are known from the start. */
function faultsOf(query: string, definitions: Definitions): string[] {
  const known = seriesOf(definitions);
  const selectors = [...query.matchAll(/\b(?<name>(?:postroad|process)_[a-z_]+)(?:\{(?<matchers>[^}]*)\})?/g)];
  if (selectors.length === 0 && !/\bup\b/.test(query)) return [`no metric in ${query}`];
  return selectors.flatMap(({ groups: { name = '', matchers = '' } = {} }) => {
    const labels = known.get(name)?.labels ?? {};
    if (!known.has(name)) return ofProcesses.includes(name) ? [] : [`no metric ${name}`];
    const asked = [...matchers.matchAll(/(?<label>[a-z]+)(?<how>=~?|!=)"(?<values>[^"]*)"/g)];
    return asked.flatMap(({ groups: { label = '', values = '' } = {} }) => {
      if (everybodys.includes(label)) return [];
      const possible = labels[label];
      if (possible === undefined) return [`${name} has no label ${label}`];
      const wrong = possible.length === 0 ? [] : values.split('|').filter(value => !possible.includes(value));
      return wrong.map(value => `${name} has no ${label} ${value}`);
    });
  });
}

/** By which a query groups. */
function labelsGroupedBy(query: string): string[] {
  return [...query.matchAll(/\b(?:by|on) \((?<labels>[^)]*)\)/g)].flatMap(({ groups }) =>
    (groups?.['labels'] ?? '').split(',').map(label => label.trim()),
  );
}

const everything: Definitions = { ...relayMetrics, ...operatorMetrics };

for (const [who, alerts, definitions] of [
  ['a relay', relayAlerts, relayMetrics],
  ['the operator', operatorAlerts, operatorMetrics],
] as const) {
  test(`alerts of ${who} ask for metrics and labels that it has`, () => {
    for (const { name, expression } of alerts) assert.deepEqual(faultsOf(expression, definitions), [], name);
  });

  test(`alerts of ${who} look at its own pods alone, and each says what is wrong`, () => {
    assert.equal(new Set(alerts.map(({ name }) => name)).size, alerts.length);
    for (const { name, expression, summary } of alerts) {
      const selectors = [...expression.matchAll(/(?:(?:postroad|process)_[a-z_]+|\bup)(?<matchers>\{[^}]*)?/g)];
      for (const { groups } of selectors) assert.match(groups?.['matchers'] ?? '', /^\{\$pods/, name);
      assert.match(summary, /\.$/, name);
    }
  });
}

test('every query of the dashboard asks for metrics and labels that relays or the operator have', () => {
  assert.ok(dashboardQueries.length > 30);
  for (const query of dashboardQueries) assert.deepEqual(faultsOf(query, everything), [], query);
});

test('alerts and dashboard group by labels that some metric has', () => {
  const labels = new Set([
    ...everybodys,
    ...Object.values(everything).flatMap(({ labels: own }) => Object.keys(own ?? {})),
  ]);
  const queries = [...dashboardQueries, ...[...relayAlerts, ...operatorAlerts].map(({ expression }) => expression)];
  for (const query of queries) {
    assert.deepEqual(
      labelsGroupedBy(query).filter(label => !labels.has(label)),
      [],
      query,
    );
  }
});

test('the dashboard shows every metric of the relay that somebody on call would look for', () => {
  const shown = dashboardQueries.join('\n');
  const missing = Object.keys(relayMetrics).filter(name => !shown.includes(name));
  assert.deepEqual(missing, [
    // Of a queue in Redis alone: its alert and a condition tell of it.
    'postroad_queue_store_trouble',
    // Of a Cluster alone: PostroadQueueErrors tells of it.
    'postroad_queue_parts_away',
    'postroad_deliver_connections_open',
    'postroad_schedule_deliveries_running',
    'postroad_schedule_last_delivery_timestamp_seconds',
  ]);
});

test('control: a metric, a label and a value that are not there are seen', () => {
  for (const [query, fault] of [
    ['rate(postroad_queue_errors{$pods}[5m])', 'no metric postroad_queue_errors'],
    ['postroad_queue_recipients{$pods,lane="x"}', 'postroad_queue_recipients has no label lane'],
    ['postroad_queue_recipients{$pods,state=~"Held|Lost"}', 'postroad_queue_recipients has no state Lost'],
    ['vector(1)', 'no metric in vector(1)'],
  ] as const) {
    assert.deepEqual(faultsOf(query, everything), [fault]);
  }
});
