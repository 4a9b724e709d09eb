/** The Grafana dashboard of operator and relays: what is shown, as tables; Grafana's own JSON is made from them. */

interface Panel {
  readonly title: string;
  /** PromQL and what a line is called. `$relay` and `$operator` stand for matchers. */
  readonly queries: readonly (readonly [expression: string, legend: string])[];
  /** As Grafana calls it. */
  readonly unit: 'short' | 's' | 'bytes' | 'reqps' | 'percentunit';
  readonly kind?: 'timeseries' | 'stat';
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** Once for each queue: a pod with a volume has its own, and of those that share one in Redis each tells of the whole of it. */
function ofEachQueue(series: string, ...labels: readonly string[]): string {
  const pattern = '(.+-relay(?:-[0-9]+)?)(?:-[a-z0-9]+-[a-z0-9]+)?';
  return `max by (${['namespace', 'queue', ...labels].join(', ')}) (label_replace(${series}, "queue", "$1", "pod", "${pattern}"))`;
}

/** The pods of the relays that are chosen at the top of the page. */
const relay = 'namespace=~"$namespace",pod=~"($relay)-relay-.*"';
const operator = 'pod=~".*postroad-[a-z0-9]+-[a-z0-9]+"';

const rows: readonly Row[] = [
  {
    title: 'Mail, at a glance',
    panels: [
      stat('Accepted a second', `sum(rate(postroad_accept_recipients_total{${relay}}[5m]))`, 'reqps'),
      stat(
        'Delivered a second',
        `sum(${ofEachQueue(`rate(postroad_queue_delivered_recipients_total{${relay}}[5m])`)})`,
        'reqps',
      ),
      stat('In the queue', `sum(${ofEachQueue(`postroad_queue_recipients{${relay}}`, 'state')})`, 'short'),
      stat('Longest overdue', `max(postroad_queue_oldest_due_age_seconds{${relay}})`, 's'),
      stat(
        'Unaccounted recipients',
        `sum(postroad_queue_accepted_recipients_total{${relay}}) - sum(postroad_queue_delivered_recipients_total{${relay}}) - sum(postroad_queue_failed_recipients_total{${relay}}) - sum(postroad_queue_discarded_recipients_total{${relay}}) - sum(postroad_queue_recipients{${relay}})`,
        'short',
      ),
      stat('Certificate ends in', `min(postroad_tls_certificate_expiry_timestamp_seconds{${relay}} > 0) - time()`, 's'),
    ],
  },
  {
    title: 'Taking mail',
    panels: [
      graph('Sessions open', 'short', [
        `sum by (pod, listener) (postroad_accept_sessions_open{${relay}})`,
        '{{pod}} {{listener}}',
      ]),
      graph('Sessions by TLS version', 'reqps', [
        `sum by (tls) (rate(postroad_accept_sessions_total{${relay}}[5m]))`,
        '{{tls}}',
      ]),
      graph('Messages by listener', 'reqps', [
        `sum by (listener) (rate(postroad_accept_messages_total{${relay}}[5m]))`,
        '{{listener}}',
      ]),
      graph('Refusals by reason', 'reqps', [
        `sum by (reason) (rate(postroad_accept_refusals_total{${relay}}[5m]))`,
        '{{reason}}',
      ]),
      graph(
        'From the last byte to 250',
        's',
        [quantile(0.5, 'postroad_accept_enqueue_seconds'), 'half'],
        [quantile(0.99, 'postroad_accept_enqueue_seconds'), '99 %'],
      ),
      graph('Bytes taken a second', 'bytes', [
        `sum by (pod) (rate(postroad_accept_bytes_total{${relay}}[5m]))`,
        '{{pod}}',
      ]),
    ],
  },
  {
    title: 'Queue',
    panels: [
      graph('Recipients by state', 'short', [
        `sum by (state) (${ofEachQueue(`postroad_queue_recipients{${relay}}`, 'state')})`,
        '{{state}}',
      ]),
      graph('Longest overdue by pod', 's', [
        `max by (pod) (postroad_queue_oldest_due_age_seconds{${relay}})`,
        '{{pod}}',
      ]),
      graph('Free disk', 'bytes', [`min by (pod) (postroad_queue_free_disk_bytes{${relay}})`, '{{pod}}']),
      graph('Errors by operation', 'reqps', [
        `sum by (operation) (rate(postroad_queue_errors_total{${relay}}[5m]))`,
        '{{operation}}',
      ]),
      graph('Time of an operation, 99 %', 's', [
        `histogram_quantile(0.99, sum by (le, operation) (rate(postroad_queue_operation_seconds_bucket{${relay}}[5m])))`,
        '{{operation}}',
      ]),
    ],
  },
  {
    title: 'Delivering',
    panels: [
      graph('Attempts by outcome', 'reqps', [
        `sum by (outcome) (rate(postroad_deliver_attempts_total{${relay}}[5m]))`,
        '{{outcome}}',
      ]),
      graph('Deferred and failed, by reason', 'reqps', [
        `sum by (outcome, reason) (rate(postroad_deliver_attempts_total{${relay},outcome=~"Deferred|Failed"}[5m]))`,
        '{{outcome}} {{reason}}',
      ]),
      graph(
        'Time of a transaction',
        's',
        [quantile(0.5, 'postroad_deliver_attempt_seconds'), 'half'],
        [quantile(0.99, 'postroad_deliver_attempt_seconds'), '99 %'],
      ),
      graph('Connections by TLS version', 'reqps', [
        `sum by (tls) (rate(postroad_deliver_connections_total{${relay}}[5m]))`,
        '{{tls}}',
      ]),
      graph('Lanes', 'short', [`sum by (state) (postroad_schedule_lanes{${relay}})`, '{{state}}']),
      graph('Bounces', 'reqps', [`sum by (action) (rate(postroad_bounce_dsns_total{${relay}}[5m]))`, '{{action}}']),
    ],
  },
  {
    title: 'Signing, configuration, process',
    panels: [
      graph(
        'Signatures',
        'reqps',
        [`sum by (algorithm) (rate(postroad_sign_signatures_total{${relay}}[5m]))`, '{{algorithm}}'],
        [`sum(rate(postroad_sign_errors_total{${relay}}[5m]))`, 'errors'],
      ),
      graph('Pods by configuration', 'short', [
        `count by (namespace, revision) (postroad_config_revision_info{${relay}} == 1)`,
        '{{namespace}} {{revision}}',
      ]),
      graph('Reloads', 'short', [
        `sum by (result) (increase(postroad_config_reloads_total{${relay}}[15m]))`,
        '{{result}}',
      ]),
      graph('Event loop, 99 %', 's', [`max by (pod) (postroad_process_event_loop_lag_seconds{${relay}})`, '{{pod}}']),
      graph('Memory', 'bytes', [`process_resident_memory_bytes{${relay}}`, '{{pod}}']),
      graph('CPU', 'short', [`rate(process_cpu_seconds_total{${relay}}[5m])`, '{{pod}}']),
    ],
  },
  {
    title: 'Operator',
    panels: [
      stat('Leaders', `sum(postroad_operator_leader{${operator}})`, 'short'),
      graph('MailRelays and DomainPolicies', 'short', [
        `max by (kind, state) (postroad_operator_resources{${operator}})`,
        '{{kind}} {{state}}',
      ]),
      graph('Reconciliations by result', 'reqps', [
        `sum by (queue, result) (rate(postroad_operator_reconcile_total{${operator}}[5m]))`,
        '{{queue}} {{result}}',
      ]),
      graph('Time of a reconciliation, 99 %', 's', [
        `histogram_quantile(0.99, sum by (le, queue) (rate(postroad_operator_reconcile_seconds_bucket{${operator}}[5m])))`,
        '{{queue}}',
      ]),
      graph(
        'Work queues',
        'short',
        [`max by (queue) (postroad_operator_queue_depth{${operator}})`, '{{queue}} due'],
        [`max by (queue) (postroad_operator_queue_delayed{${operator}})`, '{{queue}} later'],
      ),
      graph('Wait for a worker, 99 %', 's', [
        `histogram_quantile(0.99, sum by (le, queue) (rate(postroad_operator_queue_wait_seconds_bucket{${operator}}[5m])))`,
        '{{queue}}',
      ]),
      graph('Writes', 'reqps', [
        `sum by (kind, result) (rate(postroad_operator_writes_total{${operator},result!="Unchanged"}[5m]))`,
        '{{kind}} {{result}}',
      ]),
      graph('Requests to the API server', 'reqps', [
        `sum by (method, code) (rate(postroad_operator_requests_total{${operator}}[5m]))`,
        '{{method}} {{code}}',
      ]),
      graph('Failed lists and watches', 'reqps', [
        `sum by (kind, fault) (rate(postroad_operator_watch_failures_total{${operator}}[5m]))`,
        '{{kind}} {{fault}}',
      ]),
      graph('Age of what is known', 's', [
        `time() - (postroad_operator_cache_fresh_timestamp_seconds{${operator}} > 0)`,
        '{{pod}} {{kind}}',
      ]),
      graph('Objects in memory', 'short', [
        `max by (kind) (postroad_operator_cached_objects{${operator}})`,
        '{{kind}}',
      ]),
      graph('Memory', 'bytes', [`process_resident_memory_bytes{${operator}}`, '{{pod}}']),
    ],
  },
];

function stat(title: string, expression: string, unit: Panel['unit']): Panel {
  return { title, unit, kind: 'stat', queries: [[expression, '']] };
}

function graph(title: string, unit: Panel['unit'], ...queries: Panel['queries']): Panel {
  return { title, unit, queries };
}

function quantile(part: number, histogram: string): string {
  return `histogram_quantile(${part}, sum by (le) (rate(${histogram}_bucket{${relay}}[5m])))`;
}

/** Every query, for a test to hold against the metrics that there are. */
export const dashboardQueries = rows.flatMap(row =>
  row.panels.flatMap(({ queries }) => queries.map(([query]) => query)),
);

const datasource = { type: 'prometheus', uid: '$datasource' };
const width = { stat: 4, timeseries: 8 } as const;
const height = { stat: 4, timeseries: 8 } as const;

export function dashboard(): unknown {
  return {
    uid: 'postroad',
    title: 'Postroad',
    tags: ['postroad', 'mail'],
    editable: true,
    schemaVersion: 39,
    refresh: '1m',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: variables },
    panels: panels(),
  };
}

const variables = [
  { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
  queryVariable('namespace', 'label_values(postroad_accept_recipients_total, namespace)'),
  queryVariable(
    'relay',
    'label_values(postroad_accept_recipients_total{namespace=~"$namespace"}, pod)',
    '/^(?<value>.*)-relay-[^-]+(-[^-]+)?$/',
  ),
];

function queryVariable(name: string, query: string, regex = ''): unknown {
  const all = { includeAll: true, multi: true, current: { text: 'All', value: '$__all' } };
  return { name, type: 'query', datasource, query, regex, refresh: 2, sort: 1, ...all };
}

/** From left to right and on to the next line, as Grafana counts: 24 columns. */
function panels(): unknown[] {
  const laid: unknown[] = [];
  let y = 0;
  for (const { title, panels: inRow } of rows) {
    laid.push({ id: laid.length + 1, type: 'row', title, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 } });
    y += 1;
    let x = 0;
    let tallest = 0;
    for (const panel of inRow) {
      const { kind = 'timeseries' } = panel;
      const [w, h] = [width[kind], height[kind]];
      if (x + w > 24) {
        x = 0;
        y += tallest;
        tallest = 0;
      }
      laid.push({ id: laid.length + 1, ...panelJson(panel, kind), gridPos: { x, y, w, h } });
      x += w;
      tallest = Math.max(tallest, h);
    }
    y += tallest;
  }
  return laid;
}

function panelJson({ title, unit, queries }: Panel, type: string): object {
  const targets = queries.map(([expr, legendFormat], index) => ({
    refId: String.fromCharCode(65 + index),
    datasource,
    expr,
    legendFormat,
  }));
  return { type, title, datasource, targets, fieldConfig: { defaults: { unit }, overrides: [] } };
}
