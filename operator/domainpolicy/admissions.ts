/** Who is attached to a relay, found out once for all of its policies, and kept until something that decides on it changes. */
import { type ClusterChange, isSameSpec } from '../cluster/change.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Verdict } from '../conditions.ts';
import { admitPolicies, nameOf, relayNameOf } from './attach.ts';

export interface Admissions {
  /** Of type Accepted. @throws Error for a policy that is not in the cluster */
  verdictOn(key: string): Verdict;
  /** To be told of every change before anybody asks again. */
  changed(change: ClusterChange): void;
}

type View = Pick<Cluster, 'policy' | 'relay' | 'policiesNaming' | 'namespaces'>;

export function createAdmissions(cluster: View): Admissions {
  const byRelay = new Map<string, ReadonlyMap<string, Verdict>>();

  function verdictsOf(relayKey: string): ReadonlyMap<string, Verdict> {
    const known = byRelay.get(relayKey);
    if (known !== undefined) return known;
    const relay = cluster.relay(relayKey);
    const admissions = admitPolicies(
      relay === undefined ? [] : [relay],
      cluster.policiesNaming(relayKey),
      cluster.namespaces,
    );
    const verdicts = new Map(admissions.map(({ policy, verdict }) => [nameOf(policy), verdict]));
    byRelay.set(relayKey, verdicts);
    return verdicts;
  }

  return {
    verdictOn(key) {
      const policy = cluster.policy(key);
      const verdict = policy && verdictsOf(relayNameOf(policy)).get(key);
      if (verdict === undefined) throw new Error(`no verdict on DomainPolicy ${key}`);
      return verdict;
    },
    changed(change) {
      if (change.about === 'Namespace') byRelay.clear();
      if (change.about === 'Relay' && !isSameSpec(change)) byRelay.delete(change.key);
      if (change.about !== 'Policy' || isSameSpec(change)) return;
      for (const policy of [change.object, change.previous])
        if (policy !== undefined) byRelay.delete(relayNameOf(policy));
    },
  };
}
