/** Policies that need nothing but their admission: each has one key, which signs. */
import type { MailRelay } from '../../../crds/mail-relay.ts';
import type { Cluster } from '../../../operator/cluster/cluster.ts';
import { admitPolicies, nameOf } from '../../../operator/domainpolicy/attach.ts';
import type { LoadedKey } from '../../../operator/domainpolicy/dkim-key.ts';
import type { PolicyState } from '../../../operator/domainpolicy/state.ts';

export async function policyStatesOf(relay: MailRelay, cluster: Cluster): Promise<PolicyState[]> {
  const admissions = admitPolicies([relay], cluster.policiesNaming(nameOf(relay)), cluster.namespaces);
  return admissions.map(({ policy, verdict }) => ({
    policy,
    admission: verdict,
    secretProblems: [],
    secrets: new Map(),
    keys: verdict.status === 'True' ? [keyFor(nameOf(policy))] : [],
    areKeysBroken: false,
  }));
}

function keyFor(name: string): LoadedKey {
  const privateKeyPem = `not a key, of ${name}\n`;
  return { selector: 'one', algorithm: 'Ed25519', privateKeyPem, recordValue: 'v=DKIM1; p=' };
}
