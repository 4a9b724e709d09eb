/** DomainPolicies: which change concerns which of them, and what runs for them. */
import { type ClusterChange, policyKeyOf } from '../cluster/change.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { createTxtLookups } from '../dns/txt.ts';
import { createWorkQueue } from '../kube/workqueue.ts';
import { isRival, nameOf, relayNameOf } from './attach.ts';
import { createRingKeeper } from './keep-ring.ts';
import { reconcilePolicy } from './reconcile.ts';
import { createRecordWatch } from './record-watch.ts';

export function createDomainPolicyController(deps: ControllerDeps): Controller {
  const { cluster, clock, random, log, metrics, options, touchPolicy } = deps;
  const queue = createWorkQueue({ name: 'domainpolicy', clock, random, log, metrics });
  const lookups = createTxtLookups({ nameservers: options.nameservers, now: () => clock.now() });
  const watch = createRecordWatch({ lookups, clock, random, log, metrics, touchPolicy });
  const parts = { deps, watch, rings: createRingKeeper(deps) };
  return {
    queue,
    reconcile: (key, signal) => reconcilePolicy(key, parts, signal),
    beside: signal => watch.run(signal),
    onChange(change) {
      for (const key of policiesConcerned(change, cluster)) queue.add(key, change.isInitial ? 'backlog' : 'fresh');
    },
  };
}

export function policiesConcerned(change: ClusterChange, cluster: Cluster): string[] {
  switch (change.about) {
    case 'Policy':
      return distinct([change.key, ...rivals(change, cluster)]);
    case 'Relay':
      // Its own status is no change for a policy.
      return change.previous !== undefined && isSameSpec(change) ? [] : naming(change.key, cluster);
    case 'Namespace':
      return [...cluster.relays()].flatMap(relay =>
        relay.spec.policies.namespaces.from === 'Selector' ? naming(nameOf(relay), cluster) : [],
      );
    case 'Managed': {
      const policy = policyKeyOf(change.object);
      return policy === undefined ? [] : [policy];
    }
    case 'UserSecret':
      return [...change.policies];
    case 'Kinds':
      return [...cluster.policies()].filter(({ spec }) => spec.dns.publish === 'ExternalDNS').map(nameOf);
    case 'Pod':
    case 'Claim':
      return [];
  }
}

/** A status that is written changes no verdict on others; a spec does, on those that name the same relay and domains. */
function rivals(change: Extract<ClusterChange, { about: 'Policy' }>, cluster: Cluster): string[] {
  const { object, previous, isInitial } = change;
  // Each comes with the first list itself.
  if (isInitial || (change.type === 'updated' && isSameSpec(change))) return [];
  return [object, ...(previous === undefined ? [] : [previous])].flatMap(policy =>
    cluster
      .policiesNaming(relayNameOf(policy))
      .filter(other => isRival(policy, other))
      .map(nameOf),
  );
}

function isSameSpec({ object, previous }: Extract<ClusterChange, { about: 'Relay' | 'Policy' }>): boolean {
  return previous?.metadata.generation === object.metadata.generation && previous?.metadata.uid === object.metadata.uid;
}

function naming(relayKey: string, cluster: Cluster): string[] {
  return cluster.policiesNaming(relayKey).map(nameOf);
}

function distinct(keys: readonly string[]): string[] {
  return [...new Set(keys)];
}
