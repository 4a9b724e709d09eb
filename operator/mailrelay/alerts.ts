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
    name: 'PostroadQueueDiskAlmostFull',
    expression: 'min(postroad_queue_free_disk_bytes{$pods}) < 536870912',
    for: '5m',
    severity: 'warning',
    summary: 'A volume has less than 512 MiB left: the relay will soon take no more mail.',
  },
  {
    name: 'PostroadNothingDelivered',
    expression:
      'sum(increase(postroad_deliver_attempts_total{$pods,outcome="Deferred"}[30m])) > 0 and sum(increase(postroad_deliver_attempts_total{$pods,outcome="Delivered"}[30m])) == 0',
    for: '15m',
    severity: 'critical',
    summary: 'Deliveries are tried, and none succeeds.',
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
