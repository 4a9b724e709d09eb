/** Which relays a change in the cluster concerns, by `namespace/name`. */
import type { NamespaceChoice } from '../../crds/common.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { type ClusterChange, relayKeyOf } from '../cluster/change.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { nameOf, relayNameOf } from '../domainpolicy/attach.ts';
import type { KubeObject } from '../kube/object.ts';

type Place = Pick<Cluster, 'relays' | 'policiesNaming'>;

export function relaysConcerned(change: ClusterChange, cluster: Place): readonly string[] {
  switch (change.about) {
    case 'Relay':
      return isStatusOnly(change.object, change.previous) ? [] : [change.key];
    case 'Policy':
      return isStatusOnly(change.object, change.previous)
        ? []
        : [...new Set([change.object, ...(change.previous === undefined ? [] : [change.previous])].map(relayNameOf))];
    case 'Managed':
    case 'Pod':
    case 'Claim':
      return [...new Set([change.object, change.previous].flatMap(object => keysOf(object)))];
    case 'Namespace':
      return isSameLabels(change.object, change.previous) ? [] : choosingByLabels(cluster);
    case 'UserSecret':
      return change.relays;
    case 'Kinds':
      return [...cluster.relays()].map(nameOf);
  }
}

function keysOf(object: KubeObject | undefined): string[] {
  const key = object === undefined ? undefined : relayKeyOf(object);
  return key === undefined ? [] : [key];
}

/** Our own answer, mostly. Every change of what was asked for is a new generation, or one of the metadata. */
function isStatusOnly(now: KubeObject, before: KubeObject | undefined): boolean {
  if (before === undefined) return false;
  return watched(now) === watched(before);
}

function watched({ metadata }: KubeObject): string {
  const { uid, generation, labels, annotations, finalizers, deletionTimestamp } = metadata;
  return JSON.stringify([uid, generation, labels, annotations, finalizers, deletionTimestamp]);
}

function isSameLabels(now: KubeObject, before: KubeObject | undefined): boolean {
  return before !== undefined && JSON.stringify(now.metadata.labels) === JSON.stringify(before.metadata.labels);
}

function choosingByLabels(cluster: Place): string[] {
  const byLabels = ({ from }: NamespaceChoice): boolean => from === 'Selector';
  const isConcerned = (relay: MailRelay): boolean =>
    byLabels(relay.spec.policies.namespaces) ||
    cluster.policiesNaming(nameOf(relay)).some(({ spec }) => byLabels(spec.senders.namespaces));
  return [...cluster.relays()].filter(isConcerned).map(nameOf);
}
