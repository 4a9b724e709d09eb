/** The alerts of the operator itself, which the chart installs. Mail flows on without it: most of them can wait for the morning. */
import type { Alert } from './mailrelay/alerts.ts';

export const operatorAlerts: readonly Alert[] = [
  {
    name: 'PostroadOperatorDown',
    expression: 'sum(up{$pods}) == 0 or absent(up{$pods})',
    for: '15m',
    severity: 'critical',
    summary: 'No pod of the operator answers: relays go on, but no change reaches them and no certificate is renewed.',
  },
  {
    name: 'PostroadOperatorLeaderMissing',
    expression: 'sum(postroad_operator_leader{$pods}) == 0',
    for: '5m',
    severity: 'critical',
    summary: 'The operator runs and nobody leads: nothing is reconciled.',
  },
  {
    name: 'PostroadOperatorTwoLeaders',
    expression: 'sum(postroad_operator_leader{$pods}) > 1',
    for: '5m',
    severity: 'critical',
    summary: 'More than one pod says that it leads.',
  },
  {
    name: 'PostroadOperatorLeaseUnstable',
    expression: 'sum(increase(postroad_operator_lease_losses_total{$pods}[1h])) > 3',
    for: '0m',
    severity: 'warning',
    summary: 'The lease was lost several times within an hour: a slow API server, or too little CPU.',
  },
  {
    name: 'PostroadOperatorNotSynced',
    expression: 'min by (pod) (postroad_operator_synced{$pods}) == 0',
    for: '10m',
    severity: 'warning',
    summary: 'A pod of the operator cannot read all of the kinds that it needs.',
  },
  {
    name: 'PostroadOperatorObjectsNotReady',
    // Both pods count; the one that knows more is right.
    expression:
      'max by (kind) (postroad_operator_resources{$pods,state="NotReady"}) > 0.2 * max by (kind) (sum by (kind, pod) (postroad_operator_resources{$pods}))',
    for: '30m',
    severity: 'warning',
    summary: 'More than a fifth of all objects of a kind are not ready.',
  },
  {
    name: 'PostroadOperatorCacheStale',
    expression: 'max by (kind) (time() - (postroad_operator_cache_fresh_timestamp_seconds{$pods} > 0)) > 900',
    for: '5m',
    severity: 'warning',
    summary: 'A pod has heard nothing of a kind for a quarter of an hour, and decides by an old state.',
  },
  {
    name: 'PostroadOperatorWatchesFailing',
    expression: 'sum by (kind) (increase(postroad_operator_watch_failures_total{$pods}[15m])) > 10',
    for: '15m',
    severity: 'warning',
    summary: 'Lists or watches of a kind keep failing.',
  },
  {
    name: 'PostroadOperatorForbidden',
    expression: 'sum by (code) (increase(postroad_operator_requests_total{$pods,code=~"401|403"}[15m])) > 3',
    for: '10m',
    severity: 'critical',
    summary: 'The API server refuses what the operator asks for: its token or its roles are not right.',
  },
  {
    name: 'PostroadOperatorReconcileErrors',
    expression: 'sum by (queue) (increase(postroad_operator_reconcile_total{$pods,result="Error"}[15m])) > 3',
    for: '30m',
    severity: 'warning',
    summary: 'Reconciliations keep failing: some object is not as its owner asked.',
  },
  {
    name: 'PostroadOperatorReconcileHangs',
    expression: 'max by (queue) (postroad_operator_reconcile_oldest_seconds{$pods}) > 600',
    for: '0m',
    severity: 'warning',
    summary: 'One reconciliation has been under way for more than ten minutes.',
  },
  {
    name: 'PostroadOperatorQueueStuck',
    expression:
      'max by (queue) (min_over_time(postroad_operator_queue_depth{$pods}[10m])) > 0 unless on (queue) sum by (queue) (increase(postroad_operator_reconcile_total{$pods}[10m])) > 0',
    for: '5m',
    severity: 'critical',
    summary: 'Keys wait in a work queue and none is worked on.',
  },
  {
    name: 'PostroadOperatorFallsBehind',
    expression:
      'histogram_quantile(0.9, sum by (le, queue) (rate(postroad_operator_queue_wait_seconds_bucket{$pods}[15m]))) > 60',
    for: '30m',
    severity: 'warning',
    summary: 'Changes wait longer than a minute until they are looked at.',
  },
  {
    name: 'PostroadOperatorWritesWithoutEnd',
    expression: 'sum by (kind) (rate(postroad_operator_writes_total{$pods,result="Updated"}[15m])) > 1',
    for: '1h',
    severity: 'warning',
    summary: 'Objects of a kind are rewritten every second for an hour: somebody else edits them, too.',
  },
  {
    name: 'PostroadOperatorHandlerErrors',
    // Not `increase`: the series begins with the first error, and that one counts.
    expression:
      'sum by (kind) (postroad_operator_handler_errors_total{$pods}) > (sum by (kind) (postroad_operator_handler_errors_total{$pods} offset 1h) or sum by (kind) (0 * postroad_operator_handler_errors_total{$pods}))',
    for: '0m',
    severity: 'warning',
    summary: 'A change could not be taken up, by a fault of the operator; its log has it.',
  },
];
