/** Every metric of this room, with what a rise means. Whoever starts the operator gives the sink that keeps them. */

const seconds = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300] as const;

export const kubeMetrics = {
  postroad_operator_requests_total: {
    type: 'counter',
    help: 'Requests to the API server, by method and status code (or what went wrong without one).',
    rise: 'More work. 429: the server sheds load. 409: somebody else writes the same objects. 401, 403: token or RBAC.',
    labels: { method: [], code: [] },
  },
  postroad_operator_request_seconds: {
    type: 'histogram',
    help: 'Time of one request to the API server, watches excepted.',
    rise: 'A slow or throttling API server.',
    labels: { method: [] },
    buckets: seconds,
  },
  postroad_operator_lists_total: {
    type: 'counter',
    help: 'Full lists of a kind that were read to their end.',
    rise: 'One a kind at the start. More: watches are lost for so long that their place is compacted away.',
    labels: { kind: [] },
  },
  postroad_operator_watches_total: {
    type: 'counter',
    help: 'Watches opened, by kind.',
    rise: 'One each 5 to 10 minutes and kind is normal; more: they break.',
    labels: { kind: [] },
  },
  postroad_operator_watch_failures_total: {
    type: 'counter',
    help: 'Lists and watches that failed, by kind and status code or fault.',
    rise: 'Silent or Unreachable: the network, or the API server restarts. 401, 403: token or RBAC. 404: the CRD is not installed.',
    labels: { kind: [], fault: [] },
  },
  postroad_operator_cached_objects: {
    type: 'gauge',
    help: 'Objects held in memory, by kind.',
    rise: 'More objects, and more memory.',
    labels: { kind: [] },
  },
  postroad_operator_cache_fresh_timestamp_seconds: {
    type: 'gauge',
    help: 'When the cache of a kind last heard from the API server, bookmarks included.',
    rise: 'Good. One that stands still for minutes: the operator decides by an old state.',
    labels: { kind: [] },
  },
  postroad_operator_handler_errors_total: {
    type: 'counter',
    help: 'Changes whose handler threw.',
    rise: 'A bug of ours; the log has it.',
    labels: { kind: [] },
  },
  postroad_operator_queue_depth: {
    type: 'gauge',
    help: 'Keys that are due and wait for a worker.',
    rise: 'Reconciling does not keep up.',
    labels: { queue: [] },
  },
  postroad_operator_queue_delayed: {
    type: 'gauge',
    help: 'Keys that wait for their time: back-off, or asked to come again.',
    rise: 'More failures, or more objects with a date in the future.',
    labels: { queue: [] },
  },
  postroad_operator_queue_adds_total: {
    type: 'counter',
    help: 'Keys added to a queue that were not in it.',
    rise: 'More changes. Much more than changes: something we write wakes us again.',
    labels: { queue: [] },
  },
  postroad_operator_queue_wait_seconds: {
    type: 'histogram',
    help: 'From due to being worked on.',
    rise: 'Too few workers, or slow ones.',
    labels: { queue: [] },
    buckets: seconds,
  },
  postroad_operator_reconcile_total: {
    type: 'counter',
    help: 'Reconciliations, by result.',
    rise: 'Error: see the log; each is tried again. Terminal: the object is wrong, its conditions say how.',
    labels: { queue: [], result: ['Done', 'RequeueAfter', 'Error', 'Terminal'] },
  },
  postroad_operator_reconcile_seconds: {
    type: 'histogram',
    help: 'Time of one reconciliation.',
    rise: 'Slow API server, or more to do.',
    labels: { queue: [] },
    buckets: seconds,
  },
  postroad_operator_reconcile_oldest_seconds: {
    type: 'gauge',
    help: 'How long the longest reconciliation under way has taken.',
    rise: 'One hangs; the others go on.',
    labels: { queue: [] },
  },
  postroad_operator_leader: {
    type: 'gauge',
    help: '1 while this process holds the lease.',
    rise: 'It leads. The sum over all replicas is 1, or 0 for a moment.',
  },
  postroad_operator_lease_losses_total: {
    type: 'counter',
    help: 'Leases lost while leading (not those given back at shutdown).',
    rise: 'An API server that is away or slow for longer than the renew deadline, or a starved process.',
  },
  postroad_operator_writes_total: {
    type: 'counter',
    help: 'Objects looked at for writing, by kind and result.',
    rise: 'Updated without a change by a user: somebody else edits what is ours, or a loop. Unchanged costs nothing.',
    labels: { kind: [], result: ['Created', 'Updated', 'Unchanged', 'Deleted', 'Gone', 'Error'] },
  },
  postroad_operator_events_total: {
    type: 'counter',
    help: 'Events recorded, by what became of them.',
    rise: 'Dropped: one object says more than its share. Failed: the API server did not take them.',
    labels: { result: ['Created', 'Repeated', 'Dropped', 'Failed'] },
  },
} as const;

type Definitions = typeof kubeMetrics;
type NamesOf<T extends string> = {
  [K in keyof Definitions]: Definitions[K] extends { readonly type: T } ? K : never;
}[keyof Definitions];

export type MetricLabels = Readonly<Record<string, string>>;

export interface MetricSink {
  add(name: NamesOf<'counter'>, labels: MetricLabels, by?: number): void;
  set(name: NamesOf<'gauge'>, labels: MetricLabels, value: number): void;
  observe(name: NamesOf<'histogram'>, labels: MetricLabels, value: number): void;
}
