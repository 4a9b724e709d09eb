/** What a controller is made from, and what it is to whoever runs it. */
import type { Clock } from '../relay/clock.ts';
import type { Log } from '../relay/log.ts';
import type { ClusterChange } from './cluster/change.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { RelayStates } from './cluster/relay-states.ts';
import type { DnsTargets } from './dns/txt.ts';
import type { Applier } from './kube/apply.ts';
import type { EventRecorder } from './kube/events.ts';
import type { Reconcile, WorkQueue } from './kube/workqueue.ts';
import type { DesiredOptions } from './mailrelay/desired/input.ts';
import type { OperatorMetricSink } from './metric-definitions.ts';

export interface ControllerOptions {
  readonly desired: DesiredOptions;
  /** `host:port` of who is asked for names; empty: the system's resolver. */
  readonly nameservers: readonly string[];
  readonly dnsTargets: DnsTargets;
}

export interface ControllerDeps {
  readonly cluster: Cluster;
  /** Writes as `fieldManager`, and only while this process leads. */
  readonly apply: Applier;
  /** Writes as `handoverFieldManager`. */
  readonly handoverApply: Applier;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: OperatorMetricSink;
  readonly states: RelayStates;
  readonly options: ControllerOptions;
  /** Has it looked at again soon, by `namespace/name`. */
  touchRelay(key: string): void;
  touchPolicy(key: string): void;
}

/**
 * Made anew for each term of leadership: what it remembers ends with the term. At its start it is told of everything that is there
 * (`isInitial`: backlog), then of each change (fresh); meanwhile the workers run.
 */
export interface Controller {
  readonly queue: WorkQueue;
  readonly reconcile: Reconcile;
  /** What it does beside the queue, until the signal is aborted. */
  readonly beside?: (signal: AbortSignal) => Promise<void>;
  /** Adds the keys that the change concerns to the queue, and no more: it runs on the loop that reads the watch. */
  onChange(change: ClusterChange): void;
}
