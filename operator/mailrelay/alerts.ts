/** The alerts of a relay: each with what it means and a section of the runbook, titled with its name. */

export interface Alert {
  readonly name: string;
  /** PromQL; `$pods` stands for the matchers that select the pods of one relay. */
  readonly expression: string;
  readonly for: string;
  /** critical: mail is lost or nobody can send, wake somebody. warning: look at it in working hours. */
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
}

export const alerts: readonly Alert[] = [
  {
    name: 'PostroadRelayDown',
    expression: 'sum(up{$pods}) == 0 or absent(up{$pods})',
    for: '5m',
    severity: 'critical',
    summary: 'No pod of the relay answers: clients cannot send.',
  },
  {
    name: 'PostroadRelayPodDown',
    expression: 'count(up{$pods} == 0) > 0 and sum(up{$pods}) > 0',
    for: '15m',
    severity: 'warning',
    summary:
      'A pod of the relay does not answer: the others take new mail, but what waits on its own volume stands still.',
  },
  {
    name: 'PostroadRelayRestarting',
    expression: 'max(changes(process_start_time_seconds{$pods}[1h])) > 3',
    for: '0m',
    severity: 'warning',
    summary: 'A pod was started again and again within the last hour.',
  },
  {
    name: 'PostroadRecipientsUnaccounted',
    expression:
      'sum(postroad_queue_accepted_recipients_total{$pods}) - sum(postroad_queue_delivered_recipients_total{$pods}) - sum(postroad_queue_failed_recipients_total{$pods}) - sum(postroad_queue_discarded_recipients_total{$pods}) - sum(postroad_queue_recipients{$pods}) != 0',
    for: '15m',
    severity: 'critical',
    summary: 'Recipients that were accepted are neither delivered, failed, discarded nor queued.',
  },
  {
    name: 'PostroadQueueNotMoving',
    expression: 'max(postroad_queue_oldest_due_age_seconds{$pods}) > 900',
    for: '10m',
    severity: 'critical',
    summary: 'Mail that is due has not been tried for a quarter of an hour.',
  },
  {
    name: 'PostroadQueueErrors',
    expression: 'sum(rate(postroad_queue_errors_total{$pods}[5m])) > 0',
    for: '5m',
    severity: 'critical',
    summary: 'The queue cannot be written or read: clients are told to come back later.',
  },
  {
    name: 'PostroadQueueStoreTrouble',
    expression: 'max by (reason) (postroad_queue_store_trouble{$pods}) > 0',
    for: '1m',
    severity: 'critical',
    summary: 'The Redis of the queue would not keep mail as durability asks: clients are told to come back later.',
  },
  {
    name: 'PostroadQueueDiskAlmostFull',
    expression: 'min(postroad_queue_free_disk_bytes{$pods}) < 536870912',
    for: '5m',
    severity: 'warning',
    summary: 'A volume has less than 512 MiB left: the relay will soon take no more mail.',
  },
  {
    name: 'PostroadNothingDelivered',
    expression:
      // `unless`, not `== 0`: of a relay that never delivered anything there is no such series.
      'sum(increase(postroad_deliver_attempts_total{$pods,outcome="Deferred"}[30m])) > 0 unless sum(increase(postroad_deliver_attempts_total{$pods,outcome="Delivered"}[30m])) > 0',
    for: '15m',
    severity: 'critical',
    summary: 'Deliveries are tried, and none succeeds.',
  },
  {
    name: 'PostroadConnectionsFailing',
    expression:
      'sum(rate(postroad_deliver_connections_total{$pods,tls="failed"}[15m])) > 0.5 * sum(rate(postroad_deliver_connections_total{$pods}[15m]))',
    for: '30m',
    severity: 'warning',
    summary: 'More than half of the connections to next hops fail: network, firewall, DNS or TLS.',
  },
  {
    name: 'PostroadMailHeld',
    expression: 'sum(postroad_queue_recipients{$pods,state="Held"}) > 0',
    for: '1d',
    severity: 'warning',
    summary: 'Somebody has held mail for a day: it does not go out until it is released.',
  },
  {
    name: 'PostroadAcceptSlow',
    expression: 'histogram_quantile(0.9, sum by (le) (rate(postroad_accept_enqueue_seconds_bucket{$pods}[10m]))) > 2',
    for: '15m',
    severity: 'warning',
    summary: 'A tenth of all messages takes more than 2 s to be acknowledged: a slow disk, or too little CPU.',
  },
  {
    name: 'PostroadDeliveriesFailing',
    expression:
      'sum(rate(postroad_queue_failed_recipients_total{$pods}[1h])) > 0.2 * (sum(rate(postroad_queue_failed_recipients_total{$pods}[1h])) + sum(rate(postroad_queue_delivered_recipients_total{$pods}[1h])))',
    for: '1h',
    severity: 'warning',
    summary: 'More than a fifth of all recipients are given up: bad addresses, or a damaged reputation.',
  },
  {
    name: 'PostroadConfigurationRejected',
    expression: 'sum(increase(postroad_config_reloads_total{$pods,result="Rejected"}[10m])) > 0',
    for: '10m',
    severity: 'warning',
    summary: 'A pod refuses its new configuration and runs by the last good one.',
  },
  {
    name: 'PostroadRevisionsDiffer',
    expression: 'count(count by (revision) (postroad_config_revision_info{$pods} == 1)) > 1',
    for: '15m',
    severity: 'warning',
    summary: 'Pods of one relay run different configurations: a change has not reached all of them.',
  },
  {
    name: 'PostroadCertificateExpiring',
    expression: 'min(postroad_tls_certificate_expiry_timestamp_seconds{$pods} > 0) - time() < 7 * 86400',
    for: '1h',
    severity: 'critical',
    summary: 'The certificate of the listeners ends within a week, and should have been renewed.',
  },
  {
    name: 'PostroadSigningFails',
    expression: 'sum(rate(postroad_sign_errors_total{$pods}[10m])) > 0',
    for: '10m',
    severity: 'warning',
    summary: 'Messages cannot be signed.',
  },
  {
    name: 'PostroadEventLoopSlow',
    expression: 'max(postroad_process_event_loop_lag_seconds{$pods}) > 1',
    for: '10m',
    severity: 'warning',
    summary: 'A pod reacts more than a second late: it has too little CPU.',
  },
];
