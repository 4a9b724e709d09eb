/**
 * For each alert: what Prometheus sees when it should fire, and what when it should not, as near to the first as may be.
 * Series are named `metric{labels}@pod`, pod 0 or 1; their values are promtool's: a sample a minute, `0+2x60` is 0, 2, 4 ...
 */
type Series = Readonly<Record<string, string>>;

export interface Case {
  readonly fires: Series;
  readonly quiet: Series;
  /** When the rule is asked. */
  readonly at: string;
  /** Labels beside the rule's own. */
  readonly labels?: Readonly<Record<string, string>>;
}

const conserved = (queued: string): Series => ({
  'postroad_queue_accepted_recipients_total@0': '100x40',
  'postroad_queue_delivered_recipients_total@0': '80x40',
  'postroad_queue_failed_recipients_total@0': '5x40',
  'postroad_queue_discarded_recipients_total@0': '5x40',
  'postroad_queue_recipients{state="Waiting"}@0': queued,
});

/** Of a histogram: how many of a hundred a minute took less than 2 s, and less than 60 s; the rest less than 300 s. */
const histogram = (name: string, labels: string, below2: number, below60: number): Series => ({
  [`${name}_bucket{${labels}le="2"}@0`]: `0+${below2}x60`,
  [`${name}_bucket{${labels}le="60"}@0`]: `0+${below60}x60`,
  [`${name}_bucket{${labels}le="300"}@0`]: '0+100x60',
  [`${name}_bucket{${labels}le="+Inf"}@0`]: '0+100x60',
});

const attempts = 'postroad_deliver_attempts_total';

export const relayCases: Readonly<Record<string, Case>> = {
  PostroadRelayDown: { at: '6m', fires: { 'up@0': '0x10', 'up@1': '0x10' }, quiet: { 'up@0': '0x10', 'up@1': '1x10' } },
  PostroadRelayPodDown: {
    at: '20m',
    fires: { 'up@0': '0x30', 'up@1': '1x30' },
    quiet: { 'up@0': '0x10 1x20', 'up@1': '1x30' },
  },
  PostroadRelayRestarting: {
    at: '60m',
    fires: { 'process_start_time_seconds@0': '0x10 600x10 1200x10 1800x10 2400x30' },
    quiet: { 'process_start_time_seconds@0': '0x10 600x10 1200x10 1800x60' },
  },
  PostroadRecipientsUnaccounted: { at: '20m', fires: conserved('9x40'), quiet: conserved('10x40') },
  PostroadQueueNotMoving: {
    at: '30m',
    fires: { 'postroad_queue_oldest_due_age_seconds@1': '0+60x40' },
    quiet: { 'postroad_queue_oldest_due_age_seconds@1': '0+60x20 0x20' },
  },
  PostroadQueueErrors: {
    at: '20m',
    fires: { 'postroad_queue_errors_total{operation="enqueue"}@0': '0+1x30' },
    quiet: { 'postroad_queue_errors_total{operation="enqueue"}@0': '0x5 1x30' },
  },
  PostroadQueueStoreTrouble: {
    at: '10m',
    labels: { reason: 'AppendOnlyDisabled' },
    fires: {
      'postroad_queue_store_trouble{reason="AppendOnlyDisabled"}@1': '0x5 1x15',
      'postroad_queue_store_trouble{reason="NotAMaster"}@1': '0x20',
    },
    quiet: { 'postroad_queue_store_trouble{reason="AppendOnlyDisabled"}@1': '0x9 1x11' },
  },
  PostroadQueueDiskAlmostFull: {
    at: '10m',
    fires: { 'postroad_queue_free_disk_bytes@0': '500000000x20', 'postroad_queue_free_disk_bytes@1': '9000000000x20' },
    quiet: { 'postroad_queue_free_disk_bytes@0': '600000000x20', 'postroad_queue_free_disk_bytes@1': '9000000000x20' },
  },
  PostroadNothingDelivered: {
    at: '50m',
    // Never delivered anything: there is no such series at all.
    fires: { [`${attempts}{outcome="Deferred",reason="ConnectFailed"}@0`]: '0+1x60' },
    quiet: {
      [`${attempts}{outcome="Deferred",reason="ConnectFailed"}@0`]: '0+1x60',
      [`${attempts}{outcome="Delivered",reason="Delivered"}@1`]: '0x30 0+1x30',
    },
  },
  PostroadConnectionsFailing: {
    at: '50m',
    fires: {
      'postroad_deliver_connections_total{tls="failed"}@0': '0+6x60',
      'postroad_deliver_connections_total{tls="TLSv1.3"}@0': '0+4x60',
    },
    quiet: {
      'postroad_deliver_connections_total{tls="failed"}@0': '0+4x60',
      'postroad_deliver_connections_total{tls="TLSv1.3"}@0': '0+6x60',
    },
  },
  PostroadMailHeld: {
    at: '1500m',
    fires: { 'postroad_queue_recipients{state="Held"}@0': '3x1600' },
    quiet: { 'postroad_queue_recipients{state="Held"}@0': '3x1000 0x600' },
  },
  PostroadAcceptSlow: {
    at: '40m',
    fires: histogram('postroad_accept_enqueue_seconds', '', 80, 100),
    quiet: histogram('postroad_accept_enqueue_seconds', '', 95, 100),
  },
  PostroadDeliveriesFailing: {
    at: '130m',
    fires: {
      'postroad_queue_failed_recipients_total@0': '0+3x140',
      'postroad_queue_delivered_recipients_total@0': '0+10x140',
    },
    quiet: {
      'postroad_queue_failed_recipients_total@0': '0+2x140',
      'postroad_queue_delivered_recipients_total@0': '0+10x140',
    },
  },
  PostroadConfigurationRejected: {
    at: '25m',
    fires: { 'postroad_config_reloads_total{result="Rejected"}@0': '0+1x30' },
    quiet: {
      'postroad_config_reloads_total{result="Rejected"}@0': '0x2 1x30',
      'postroad_config_reloads_total{result="Applied"}@0': '0+1x30',
    },
  },
  PostroadRevisionsDiffer: {
    at: '20m',
    fires: {
      'postroad_config_revision_info{revision="a"}@0': '1x30',
      'postroad_config_revision_info{revision="b"}@1': '1x30',
    },
    quiet: {
      'postroad_config_revision_info{revision="a"}@0': '0x30',
      'postroad_config_revision_info{revision="b"}@0': '1x30',
      'postroad_config_revision_info{revision="b"}@1': '1x30',
    },
  },
  PostroadCertificateExpiring: {
    at: '70m',
    // Six days from the beginning; and eight. 0: there is no certificate.
    fires: { 'postroad_tls_certificate_expiry_timestamp_seconds@0': '518400x80' },
    quiet: {
      'postroad_tls_certificate_expiry_timestamp_seconds@0': '691200x80',
      'postroad_tls_certificate_expiry_timestamp_seconds@1': '0x80',
    },
  },
  PostroadSigningFails: {
    at: '25m',
    fires: { 'postroad_sign_errors_total@0': '0+1x30' },
    quiet: { 'postroad_sign_errors_total@0': '0x5 1x30' },
  },
  PostroadEventLoopSlow: {
    at: '15m',
    fires: { 'postroad_process_event_loop_lag_seconds@1': '1.5x30' },
    quiet: { 'postroad_process_event_loop_lag_seconds@1': '1.5x5 0.9 1.5x30' },
  },
};

const reconciled = 'postroad_operator_reconcile_total';
const mailrelays = { queue: 'mailrelays' };
const secrets = { kind: 'Secret' };

export const operatorCases: Readonly<Record<string, Case>> = {
  // Not even found.
  PostroadOperatorDown: { at: '20m', fires: {}, quiet: { 'up@0': '0x30', 'up@1': '1x30' } },
  PostroadOperatorLeaderMissing: {
    at: '10m',
    fires: { 'postroad_operator_leader@0': '0x20', 'postroad_operator_leader@1': '0x20' },
    quiet: { 'postroad_operator_leader@0': '1x5 0x20', 'postroad_operator_leader@1': '0x6 1x20' },
  },
  PostroadOperatorTwoLeaders: {
    at: '10m',
    fires: { 'postroad_operator_leader@0': '1x20', 'postroad_operator_leader@1': '1x20' },
    quiet: { 'postroad_operator_leader@0': '1x8 0x20', 'postroad_operator_leader@1': '0x7 1x20' },
  },
  PostroadOperatorLeaseUnstable: {
    at: '60m',
    fires: { 'postroad_operator_lease_losses_total@0': '0x9 0+1x5 5x50' },
    quiet: { 'postroad_operator_lease_losses_total@0': '0x9 1x20 2x50' },
  },
  PostroadOperatorNotSynced: {
    at: '15m',
    labels: { pod: 'postroad-5d4f8c7b9-bbbbb' },
    fires: { 'postroad_operator_synced@0': '1x20', 'postroad_operator_synced@1': '0x20' },
    quiet: { 'postroad_operator_synced@0': '1x20', 'postroad_operator_synced@1': '0x5 1x20' },
  },
  PostroadOperatorObjectsNotReady: {
    at: '40m',
    labels: { kind: 'MailRelay' },
    fires: {
      'postroad_operator_resources{kind="MailRelay",state="Ready"}@0': '6x60',
      'postroad_operator_resources{kind="MailRelay",state="NotReady"}@0': '4x60',
      'postroad_operator_resources{kind="MailRelay",state="NotReady"}@1': '0x60',
    },
    quiet: {
      'postroad_operator_resources{kind="MailRelay",state="Ready"}@0': '9x60',
      'postroad_operator_resources{kind="MailRelay",state="NotReady"}@0': '1x60',
    },
  },
  PostroadOperatorCacheStale: {
    at: '30m',
    labels: secrets,
    fires: { 'postroad_operator_cache_fresh_timestamp_seconds{kind="Secret"}@0': '60x40' },
    quiet: {
      'postroad_operator_cache_fresh_timestamp_seconds{kind="Secret"}@0': '60+60x40',
      'postroad_operator_cache_fresh_timestamp_seconds{kind="Secret"}@1': '0x40',
    },
  },
  PostroadOperatorWatchesFailing: {
    at: '40m',
    labels: secrets,
    fires: { 'postroad_operator_watch_failures_total{kind="Secret",fault="Unreachable"}@0': '0+1x60' },
    quiet: { 'postroad_operator_watch_failures_total{kind="Secret",fault="Unreachable"}@0': '0x10 0+1x8 8x50' },
  },
  PostroadOperatorForbidden: {
    at: '30m',
    labels: { code: '403' },
    fires: { 'postroad_operator_requests_total{method="PATCH",code="403"}@0': '0+1x40' },
    quiet: {
      'postroad_operator_requests_total{method="PATCH",code="403"}@0': '0x5 1x40',
      'postroad_operator_requests_total{method="PATCH",code="409"}@0': '0+9x40',
    },
  },
  PostroadOperatorReconcileErrors: {
    at: '50m',
    labels: mailrelays,
    fires: { [`${reconciled}{queue="mailrelays",result="Error"}@0`]: '0+1x60' },
    quiet: {
      [`${reconciled}{queue="mailrelays",result="Error"}@0`]: '0+1x20 20x40',
      [`${reconciled}{queue="mailrelays",result="Terminal"}@0`]: '0+1x60',
    },
  },
  PostroadOperatorReconcileHangs: {
    at: '12m',
    labels: mailrelays,
    fires: { 'postroad_operator_reconcile_oldest_seconds{queue="mailrelays"}@0': '0+60x20' },
    quiet: { 'postroad_operator_reconcile_oldest_seconds{queue="mailrelays"}@0': '0+30x20' },
  },
  PostroadOperatorQueueStuck: {
    at: '20m',
    labels: mailrelays,
    fires: {
      'postroad_operator_queue_depth{queue="mailrelays"}@0': '5x30',
      [`${reconciled}{queue="mailrelays",result="Done"}@0`]: '7x30',
    },
    quiet: {
      'postroad_operator_queue_depth{queue="mailrelays"}@0': '5x30',
      [`${reconciled}{queue="mailrelays",result="Done"}@0`]: '7+1x30',
    },
  },
  PostroadOperatorFallsBehind: {
    at: '50m',
    labels: mailrelays,
    fires: histogram('postroad_operator_queue_wait_seconds', 'queue="mailrelays",', 10, 80),
    quiet: histogram('postroad_operator_queue_wait_seconds', 'queue="mailrelays",', 10, 95),
  },
  PostroadOperatorWritesWithoutEnd: {
    at: '90m',
    labels: { kind: 'Service' },
    fires: { 'postroad_operator_writes_total{kind="Service",result="Updated"}@0': '0+90x120' },
    quiet: {
      'postroad_operator_writes_total{kind="Service",result="Updated"}@0': '0+30x120',
      'postroad_operator_writes_total{kind="Service",result="Unchanged"}@0': '0+900x120',
    },
  },
  PostroadOperatorHandlerErrors: {
    at: '65m',
    labels: secrets,
    // Its first one: there was no series before.
    fires: { 'postroad_operator_handler_errors_total{kind="Secret"}@0': '_x40 1x90' },
    // One of more than an hour ago.
    quiet: { 'postroad_operator_handler_errors_total{kind="ConfigMap"}@0': '1x90' },
  },
};
