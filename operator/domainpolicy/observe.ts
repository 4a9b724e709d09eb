/** What is known of the policies that name a relay: from the caches, and from the Secrets that they refer to. */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { relayKeyOf } from '../cluster/change.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { secrets as secretKind } from '../cluster/kinds.ts';
import { readReferred } from '../cluster/referred-secrets.ts';
import type { Verdict } from '../conditions.ts';
import { policyNeeds, type SecretProblem } from '../credentials.ts';
import { type KubeObject, keyOf } from '../kube/object.ts';
import { admitPolicies, nameOf } from './attach.ts';
import { baseDomains } from './base-domains.ts';
import { dkimKeyOf, type LoadedKey } from './dkim-key.ts';
import { BrokenKeys, isRing, type KeyRing, loadedKeys, ringOf, ringSecretKey, toldKeys } from './key-ring.ts';
import type { PolicyState } from './state.ts';

/** In the order of the cluster. @throws ApiError, ConnectionError when a Secret cannot be read */
export async function policyStatesOf(relay: MailRelay, cluster: Cluster, signal: AbortSignal): Promise<PolicyState[]> {
  const admissions = admitPolicies([relay], cluster.policiesNaming(nameOf(relay)), cluster.namespaces);
  const states: PolicyState[] = [];
  for (const { policy, verdict } of admissions)
    states.push(await policyStateOf({ relay, policy, admission: verdict }, cluster, signal));
  return states;
}

export interface Attachment {
  readonly relay: MailRelay;
  readonly policy: DomainPolicy;
  readonly admission: Verdict;
}

export async function policyStateOf(
  { relay, policy, admission }: Attachment,
  cluster: Cluster,
  signal: AbortSignal,
): Promise<PolicyState> {
  if (admission.status !== 'True') return notAttached(policy, admission);
  const { secrets, problems: secretProblems } = await readReferred(policyNeeds(policy), cluster, signal);
  try {
    const keys = keysOf(policy, secrets, ringIn(cluster, relay, policy));
    return { policy, admission, secretProblems, secrets, keys, areKeysBroken: false };
  } catch (error) {
    // Of one policy: the others of its relay go on.
    if (!(error instanceof BrokenKeys)) throw error;
    const problem: SecretProblem = { reason: 'SecretInvalid', message: error.message };
    const problems = [...secretProblems, problem];
    return { policy, admission, secretProblems: problems, secrets, keys: [], areKeysBroken: true };
  }
}

export function notAttached(policy: DomainPolicy, admission: Verdict): PolicyState {
  return { policy, admission, secretProblems: [], secrets: new Map(), keys: [], areKeysBroken: false };
}

/** @throws BrokenKeys */
export function ringIn(cluster: Cluster, relay: MailRelay, policy: DomainPolicy): KeyRing {
  const kept = cluster.managed(secretKind, ringSecretKey(relay, policy));
  if (kept !== undefined && isRing(kept, relay)) return ringOf(kept);
  return policy.spec.dkim.type === 'Managed' ? inheritedRing(cluster, policy) : [];
}

/** Secrets with keys of a policy, wherever they are. Not: what only carries the labels of one. */
export function ringsOf(cluster: Places, policyKey: string): KubeObject[] {
  return cluster.keySecretsOf(policyKey).filter(secret => isRing(secret, cluster.relay(relayKeyOf(secret) ?? '')));
}

/**
 * Those with the relay that the policy named before, else none: a key whose record is published is worth keeping. One that signs goes on
 * signing: a pod of the new relay has the policy together with its keys, and takes no mail of it before.
 */
export function inheritedRing(cluster: Places, policy: DomainPolicy, nowMs = Number.POSITIVE_INFINITY): KeyRing {
  for (const secret of ringsOf(cluster, nameOf(policy))) {
    const ring = toldKeys(secret, policy, nowMs);
    if (ring.length > 0) return ring.map(key => ({ ...key, leftMs: undefined }));
  }
  return [];
}

export interface RingHome {
  readonly relay: MailRelay;
  readonly live: KubeObject;
}

/** Relays that keep keys which the policy has told of. */
export function homesOf(cluster: Places, policy: DomainPolicy): RingHome[] {
  return ringsOf(cluster, nameOf(policy)).flatMap(live => {
    const relay = cluster.relay(relayKeyOf(live) ?? '');
    const isHome = relay !== undefined && keyOf(live.metadata) === ringSecretKey(relay, policy);
    return isHome && toldKeys(live, policy, Number.POSITIVE_INFINITY).length > 0 ? [{ relay, live }] : [];
  });
}

type Places = Pick<Cluster, 'keySecretsOf' | 'relay'>;

/** Given keys sign at once: who gives them says that their records are there. */
function keysOf(policy: DomainPolicy, secrets: PolicyState['secrets'], ring: KeyRing): LoadedKey[] {
  const { type, secretRef } = policy.spec.dkim;
  if (type !== 'SecretRef') return loadedKeys(ring, baseDomains(policy));
  const given = secrets.get(`${policy.metadata.namespace}/${secretRef?.name ?? ''}`) ?? new Map<string, Buffer>();
  return [...given].map(([selector, pem]) => dkimKeyOf(pem, selector));
}
