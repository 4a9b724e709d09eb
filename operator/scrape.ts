/** Gauges that are worked out when Prometheus asks. */
import type { DomainPolicy } from '../crds/domain-policy.ts';
import type { MailRelay } from '../crds/mail-relay.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { OperatorMetricSink } from './metric-definitions.ts';

type State = 'Ready' | 'NotReady' | 'Unknown';

export function setResourceCounts(metrics: OperatorMetricSink, cluster: Pick<Cluster, 'relays' | 'policies'>): void {
  setCounts(metrics, 'MailRelay', cluster.relays());
  setCounts(metrics, 'DomainPolicy', cluster.policies());
}

function setCounts(metrics: OperatorMetricSink, kind: string, objects: Iterable<MailRelay | DomainPolicy>): void {
  const counts: Record<State, number> = { Ready: 0, NotReady: 0, Unknown: 0 };
  for (const object of objects) counts[stateOf(object)] += 1;
  for (const [state, count] of Object.entries(counts)) {
    metrics.set('postroad_operator_resources', { kind, state }, count);
  }
}

function stateOf({ status, metadata }: MailRelay | DomainPolicy): State {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  // What a condition says of an older spec says nothing of this one.
  if (ready === undefined || (ready.observedGeneration ?? 0) < (metadata.generation ?? 0)) return 'Unknown';
  return ready.status === 'True' ? 'Ready' : ready.status === 'False' ? 'NotReady' : 'Unknown';
}
