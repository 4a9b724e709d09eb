/** DomainPolicies: which change concerns which of them, and what runs for them. */
import { type ClusterChange, isSameSpec, policyKeyOf } from '../cluster/change.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { createTxtLookups } from '../dns/txt.ts';
import { createWorkQueue } from '../kube/workqueue.ts';
import { createAdmissions } from './admissions.ts';
import { nameOf, relayNameOf, rivalsOf } from './attach.ts';
import { createRingKeeper } from './keep-ring.ts';
import { reconcilePolicy } from './reconcile.ts';
import { createRecordWatch } from './record-watch.ts';

/** As when thousands are new at once: their keys take all there is for minutes. */
const manyWaiting = 200;

export function createDomainPolicyController(deps: ControllerDeps): Controller {
  const { cluster, clock, random, log, metrics, options, touchPolicy } = deps;
  const queue = createWorkQueue({ name: 'domainpolicy', clock, random, log, metrics });
  const lookups = createTxtLookups({
    ...{ nameservers: options.nameservers, targets: options.dnsTargets },
    now: () => clock.now(),
  });
  const isBusy = (): boolean => queue.depth >= manyWaiting;
  const watch = createRecordWatch({ lookups, clock, random, log, metrics, touchPolicy, isBusy });
  const admissions = createAdmissions(cluster);
  const parts = { deps, admissions, watch, rings: createRingKeeper(deps) };
  return {
    queue,
    reconcile: (key, signal) => reconcilePolicy(key, parts, signal),
    beside: signal => watch.run(signal),
    onChange(change) {
      admissions.changed(change);
      for (const key of policiesConcerned(change, cluster)) queue.add(key, change.isInitial ? 'backlog' : 'fresh');
    },
  };
}

type Place = Pick<Cluster, 'relays' | 'policies' | 'policiesNaming'>;

export function policiesConcerned(change: ClusterChange, cluster: Place): string[] {
  switch (change.about) {
    case 'Policy':
      return distinct([change.key, ...rivals(change, cluster)]);
    case 'Relay':
      // Its own status is no change for a policy.
      return isSameSpec(change) ? [] : naming(change.key, cluster);
    case 'Namespace':
      return distinct([
        ...[...cluster.relays()].flatMap(relay =>
          relay.spec.policies.namespaces.from === 'Selector' ? naming(nameOf(relay), cluster) : [],
        ),
        ...[...cluster.policies()]
          .filter(({ metadata, spec }) => metadata.namespace === change.key && spec.dns.publish === 'ExternalDNS')
          .map(nameOf),
      ]);
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

/**
 * A status that is written changes no verdict on others. A spec does, on those that name the same relay and domains; and what one of
 * these then gets or loses, on those that name other domains of it, and so on.
 */
function rivals(change: Extract<ClusterChange, { about: 'Policy' }>, cluster: Place): string[] {
  const { object, previous, isInitial } = change;
  // Each comes with the first list itself.
  if (isInitial || isSameSpec(change)) return [];
  return [object, ...(previous === undefined ? [] : [previous])].flatMap(policy =>
    rivalsOf(policy, cluster.policiesNaming(relayNameOf(policy))).map(nameOf),
  );
}

function naming(relayKey: string, cluster: Place): string[] {
  return cluster.policiesNaming(relayKey).map(nameOf);
}

function distinct(keys: readonly string[]): string[] {
  return [...new Set(keys)];
}
