/** Which relays a change in the cluster concerns, by `namespace/name`. */
import type { NamespaceChoice } from '../../crds/common.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { type ClusterChange, policyKeyOf, relayKeyOf } from '../cluster/change.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { nameOf, relayNameOf } from '../domainpolicy/attach.ts';
import { isLoadedAlike, ringOf } from '../domainpolicy/key-ring.ts';
import type { KubeObject } from '../kube/object.ts';

type Place = Pick<Cluster, 'relays' | 'policiesNaming'>;

export function relaysConcerned(change: ClusterChange, cluster: Place): readonly string[] {
  switch (change.about) {
    case 'Relay':
      return isStatusOnly(change) ? [] : [change.key];
    case 'Policy':
      return isStatusOnly(change)
        ? []
        : [...new Set([change.object, ...(change.previous === undefined ? [] : [change.previous])].map(relayNameOf))];
    case 'Managed':
      return isUnloadedStep(change) ? [] : relaysOf(change);
    case 'Pod':
    case 'Claim':
      return relaysOf(change);
    case 'Namespace':
      return isSameLabels(change.object, change.previous) ? [] : choosingByLabels(cluster);
    case 'UserSecret':
      return change.relays;
    case 'Kinds':
      return [...cluster.relays()].map(nameOf);
  }
}

type ObjectChange = Extract<ClusterChange, { about: 'Managed' | 'Pod' | 'Claim' }>;

function relaysOf({ object, previous }: ObjectChange): string[] {
  return [...new Set([object, previous].flatMap(one => keysOf(one)))];
}

/** A step of DKIM keys that changes nothing of what pods load: most keys wait for their records for long. */
function isUnloadedStep({ type, object, previous }: ObjectChange): boolean {
  if (policyKeyOf(object) === undefined) return false;
  try {
    const now = type === 'deleted' ? [] : ringOf(object);
    return isLoadedAlike(previous === undefined ? [] : ringOf(previous), now);
  } catch {
    // Broken keys: the pass says so, and names the Secret.
    return false;
  }
}

function keysOf(object: KubeObject | undefined): string[] {
  const key = object === undefined ? undefined : relayKeyOf(object);
  return key === undefined ? [] : [key];
}

/** Our own answer, mostly. Every change of what was asked for is a new generation, or one of the metadata; what goes is as it was last. */
function isStatusOnly({ type, object, previous }: Extract<ClusterChange, { about: 'Relay' | 'Policy' }>): boolean {
  return type === 'updated' && previous !== undefined && watched(object) === watched(previous);
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
