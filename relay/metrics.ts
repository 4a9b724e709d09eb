/**
 * Every metric of the relay, with what a rise means; the docs page, dashboard and alert rules use these names.
 * Labels are closed sets. Zeros are there from the start for each label value listed here.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** What the one on call should think when it goes up. */
  readonly rise: string;
  /** Label names, each with the values that are there from the start (empty: known only at run time, but bounded by configuration). */
  readonly labels?: Readonly<Record<string, readonly string[]>>;
  readonly buckets?: readonly number[];
}

const seconds = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300];

export const definitions = {
  postroad_accept_sessions_open: {
    type: 'gauge',
    help: 'SMTP sessions open now.',
    rise: 'More clients, or clients that hang: compare with postroad_accept_sessions_total.',
    labels: { listener: [] },
  },
  postroad_accept_sessions_total: {
    type: 'counter',
    help: 'SMTP sessions begun, by the TLS version they ended with (none, TLSv1.2, TLSv1.3).',
    rise: 'More clients; without more messages: probes, or clients that fail to log in.',
    labels: { listener: [], tls: ['none', 'TLSv1.2', 'TLSv1.3'] },
  },
  postroad_accept_messages_total: {
    type: 'counter',
    help: 'Messages acknowledged with 250, durable in the queue.',
    rise: 'More mail.',
    labels: { listener: [] },
  },
  postroad_accept_recipients_total: {
    type: 'counter',
    help: 'Recipients of the messages acknowledged with 250.',
    rise: 'More mail. With DSNs added it is what postroad_queue_accepted_recipients_total counts.',
  },
  postroad_accept_refusals_total: {
    type: 'counter',
    help: 'Commands, recipients and messages refused, by reason.',
    rise: 'Clients misconfigured, a policy missing, or abuse; the reason says which.',
    labels: { reason: [] },
  },
  postroad_accept_bytes_total: {
    type: 'counter',
    help: 'Message bytes acknowledged with 250.',
    rise: 'More or larger mail.',
  },
  postroad_accept_enqueue_seconds: {
    type: 'histogram',
    help: 'From the last byte of a message to its 250.',
    rise: 'Slow disk, or signing starved of CPU.',
    buckets: seconds,
  },
  postroad_queue_accepted_recipients_total: {
    type: 'counter',
    help: 'Recipients ever put into this queue, DSNs included; durable across restarts.',
    rise: 'More mail. Always equals delivered + failed + discarded + depth: alert on a difference.',
  },
  postroad_queue_delivered_recipients_total: {
    type: 'counter',
    help: 'Recipients that a next hop took responsibility for; durable across restarts.',
    rise: 'Mail goes out.',
  },
  postroad_queue_failed_recipients_total: {
    type: 'counter',
    help: 'Recipients given up, each with its DSN where one is due; durable across restarts.',
    rise: 'Bad addresses, a reputation problem, or messages that outlived their lifetime.',
  },
  postroad_queue_discarded_recipients_total: {
    type: 'counter',
    help: 'Recipients dropped because a policy says so, or taken back because the client was told 451 in doubt; durable across restarts.',
    rise: 'A policy discards mail, or Redis was away.',
  },
  postroad_queue_recipients: {
    type: 'gauge',
    help: 'Recipients in the queue now, by state.',
    rise: 'Waiting: next hops defer or are down. Held: somebody holds mail. Leased: deliveries under way.',
    labels: { state: ['Waiting', 'Leased', 'Held'] },
  },
  postroad_queue_oldest_due_age_seconds: {
    type: 'gauge',
    help: 'How long the longest overdue recipient has been due and nobody has begun to deliver it, in the queue or in the line of a next hop; 0 when none is.',
    rise: 'Deliveries do not keep up, or lanes are backed off. The best single alarm for mail that does not go out.',
  },
  postroad_queue_operation_seconds: {
    type: 'histogram',
    help: 'Time of a queue operation until durable.',
    rise: 'Slow disk or a store in trouble.',
    labels: { operation: ['enqueue', 'claim', 'settle'] },
    buckets: seconds,
  },
  postroad_queue_errors_total: {
    type: 'counter',
    help: 'Queue operations that failed, by operation.',
    rise: 'Disk full, disk fault, or a bug: clients see 451 or 452.',
    labels: { operation: ['enqueue', 'claim', 'settle', 'renew', 'spool', 'probe'] },
  },
  postroad_queue_store_trouble: {
    type: 'gauge',
    help: '1 while a server of the queue in Redis would not keep mail as durability asks, by reason.',
    rise: 'Somebody changed its settings, or a worse replica took over: no mail is taken (451) until it is mended.',
    labels: { reason: [] },
  },
  postroad_queue_parts_away: {
    type: 'gauge',
    help: 'Parts of a queue in a Redis Cluster, of eight, that did not answer when this was read; what is told of their recipients is as it was when they last did.',
    rise: 'A master of the Cluster is away, and no replica takes over: its mail waits, and new mail for it is refused (451).',
  },
  postroad_queue_free_disk_bytes: {
    type: 'gauge',
    help: 'Free bytes of the queue volume.',
    rise: 'Good. A fall towards limits.minFreeDisk ends in 452.',
  },
  postroad_deliver_attempts_total: {
    type: 'counter',
    help: 'Recipients tried, by outcome and reason.',
    rise: 'By reason: docs/reference/reasons.md has a section with its name.',
    labels: { outcome: ['Delivered', 'Deferred', 'Failed', 'Discarded'], reason: [] },
  },
  postroad_deliver_attempt_seconds: {
    type: 'histogram',
    help: 'One transaction with a next hop, from MAIL to the last reply.',
    rise: 'Slow next hops.',
    buckets: seconds,
  },
  postroad_deliver_connections_open: {
    type: 'gauge',
    help: 'Connections to next hops open now.',
    rise: 'More destinations at once.',
  },
  postroad_deliver_connections_total: {
    type: 'counter',
    help: 'Connections to next hops made, by TLS version (none, TLSv1.2, TLSv1.3) or failed.',
    rise: 'failed: network, DNS or TLS trouble. none: next hops without TLS.',
    labels: { tls: ['none', 'TLSv1.2', 'TLSv1.3', 'failed'] },
  },
  postroad_schedule_lanes: {
    type: 'gauge',
    help: 'Lanes (next hops) by state.',
    rise: 'BackedOff: next hops that refuse or do not answer.',
    labels: { state: ['Open', 'BackedOff'] },
  },
  postroad_schedule_deliveries_running: {
    type: 'gauge',
    help: 'Transactions with next hops under way.',
    rise: 'More mail, or slower next hops.',
  },
  postroad_schedule_last_delivery_timestamp_seconds: {
    type: 'gauge',
    help: 'When a next hop last took a recipient (or the start of the process).',
    rise: 'Good. When it stands still while postroad_queue_recipients is above 0, nothing gets out.',
  },
  postroad_bounce_dsns_total: {
    type: 'counter',
    help: 'Delivery status notifications enqueued, each by the gravest action it tells of (RFC 3464 s2.3.3).',
    rise: 'failed: bad addresses or a broken next hop. delayed: a next hop is away for long.',
    labels: { action: ['failed', 'delayed', 'delivered', 'relayed'] },
  },
  postroad_sign_signatures_total: {
    type: 'counter',
    help: 'DKIM signatures made, by algorithm.',
    rise: 'More mail.',
    labels: { algorithm: ['RSA2048', 'Ed25519'] },
  },
  postroad_sign_errors_total: {
    type: 'counter',
    help: 'Messages that could not be signed; the client was told 451.',
    rise: 'A key file is missing or broken.',
  },
  postroad_config_reloads_total: {
    type: 'counter',
    help: 'Configurations read, by result.',
    rise: 'Rejected: the last good configuration still runs; the log names each fault.',
    labels: { result: ['Applied', 'Rejected'] },
  },
  postroad_config_revision_info: {
    type: 'gauge',
    help: '1 for the revision that runs.',
    rise: 'A new revision was applied.',
    labels: { revision: [] },
  },
  postroad_tls_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    help: 'notAfter of the certificate served.',
    rise: 'Renewed.',
  },
  postroad_process_event_loop_lag_seconds: {
    type: 'gauge',
    help: 'By how much the event loop was late, 99th percentile since the last scrape.',
    rise: 'Starved of CPU, or something blocks.',
  },
} as const satisfies Record<string, Definition>;

type Definitions = typeof definitions;
type Labels<D> = D extends { labels: infer L extends object } ? Extract<keyof L, string> : never;
type Instrument<D> = D extends { type: 'counter' }
  ? Counter<Labels<D>>
  : D extends { type: 'gauge' }
    ? Gauge<Labels<D>>
    : Histogram<Labels<D>>;

export type Metrics = { readonly [K in keyof Definitions]: Instrument<Definitions[K]> } & {
  readonly registry: Registry;
};

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const instruments = Object.entries<Definition>(definitions).map(([name, definition]) => [
    name,
    create(name, definition, registry),
  ]);
  return { ...Object.fromEntries(instruments), registry };
}

function create(name: string, definition: Definition, registry: Registry): Counter | Gauge | Histogram {
  const labels = definition.labels ?? {};
  const options = { name, help: definition.help, labelNames: Object.keys(labels), registers: [registry] };
  if (definition.type === 'histogram') return new Histogram({ ...options, buckets: [...(definition.buckets ?? [])] });
  const instrument = definition.type === 'counter' ? new Counter(options) : new Gauge(options);
  for (const combination of combinations(labels)) instrument.inc(combination, 0);
  return instrument;
}

/** Every combination of known label values; none when a label's values are known only at run time. */
function combinations(labels: Readonly<Record<string, readonly string[]>>): Record<string, string>[] {
  let all: Record<string, string>[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    all = all.flatMap(known => values.map(value => ({ ...known, [label]: value })));
  }
  return all;
}
