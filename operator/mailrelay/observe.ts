/** What is: a relay and all that its objects are made from. Reads caches, and the Secrets that users own. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { secrets } from '../cluster/kinds.ts';
import { problemOf, readReferred } from '../cluster/referred-secrets.ts';
import { relayNeeds, type SecretData, type SecretProblem } from '../credentials.ts';
import type { PolicyState } from '../domainpolicy/state.ts';
import type { Certificate } from './certificate.ts';
import { offersTls } from './desired/config.ts';
import type { AttachedPolicy, RelayInput } from './desired/input.ts';
import { namesOf } from './desired/names.ts';
import { isDrainOver } from './drain.ts';
import { dataOf, existingOf } from './existing.ts';
import { type KeptMaterial, trustedAuthorities } from './key-material.ts';
import type { PodReports } from './pods.ts';
import type { ClusterObservation } from './status.ts';

export type PolicyStatesOf = (relay: MailRelay, cluster: Cluster, signal: AbortSignal) => Promise<PolicyState[]>;

export interface ObserveDeps {
  readonly cluster: Cluster;
  readonly reports: PodReports;
  readonly policyStatesOf: PolicyStatesOf;
}

export interface Question {
  readonly relay: MailRelay;
  readonly kept: KeptMaterial;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

export interface Observed {
  readonly input: RelayInput;
  readonly secretProblems: readonly SecretProblem[];
  readonly certificateProblem: ClusterObservation['certificateProblem'];
  readonly attachedPolicies: number;
}

/** @throws ApiError, ConnectionError when a Secret cannot be read. */
export async function observe(
  { cluster, reports, policyStatesOf }: ObserveDeps,
  { relay, kept, nowMs, signal }: Question,
): Promise<Observed> {
  const referred = await readReferred(relayNeeds(relay), cluster, signal);
  const attached = (await policyStatesOf(relay, cluster, signal)).filter(
    ({ admission }) => admission.status === 'True',
  );
  const { certificate, problem } = certificateOf({ cluster, relay, kept, secrets: referred.secrets });
  const isSelfSigned = relay.spec.tls.type === 'SelfSigned' && offersTls(relay);
  return {
    input: {
      relay,
      policies: attached.map(attachedPolicy),
      namespaces: cluster.namespaces,
      secrets: new Map([...referred.secrets, ...attached.flatMap(state => [...state.secrets])]),
      blocked: referred.problems.length > 0 || kept.revisionKey === undefined,
      certificate,
      material: { revisionKey: kept.revisionKey ?? '', authorities: isSelfSigned ? trustedAuthorities(kept) : [] },
      existing: existingOf(cluster, relay, reports),
      kinds: cluster.kinds,
      drainOver: isDrainOver(relay, relay.status, nowMs),
    },
    secretProblems: referred.problems,
    certificateProblem: problem,
    attachedPolicies: attached.length,
  };
}

function attachedPolicy({ policy, secretProblems, keys, areKeysBroken }: PolicyState): AttachedPolicy {
  return { policy, complete: secretProblems.length === 0, keys, areKeysBroken };
}

interface CertificateSources {
  readonly cluster: Cluster;
  readonly relay: MailRelay;
  readonly kept: KeptMaterial;
  readonly secrets: ReadonlyMap<string, SecretData>;
}

interface CertificateAnswer {
  readonly certificate?: Certificate;
  readonly problem?: ClusterObservation['certificateProblem'];
}

function certificateOf({ cluster, relay, kept, secrets: given }: CertificateSources): CertificateAnswer {
  if (!offersTls(relay)) return {};
  const { type, secretRef } = relay.spec.tls;
  switch (type) {
    case 'SelfSigned':
      return kept.certificate === undefined ? {} : { certificate: kept.certificate };
    case 'SecretRef':
      return certificateIn(given.get(`${relay.metadata.namespace}/${secretRef?.name ?? ''}`));
    case 'CertManager':
      return issuedCertificate(cluster, relay);
  }
}

function issuedCertificate(cluster: Cluster, relay: MailRelay): CertificateAnswer {
  if (!cluster.kinds.certManager) {
    const message = 'spec.tls.type is CertManager, and this cluster has no cert-manager';
    return { problem: { reason: 'CertManagerNotFound', message } };
  }
  const { namespace } = relay.metadata;
  const name = namesOf(relay).issued;
  const secret = cluster.managed(secrets, `${namespace}/${name}`);
  const message = `cert-manager has not issued Secret ${name} yet; its Certificate ${namesOf(relay).relay} says why`;
  if (secret === undefined) return { problem: { reason: 'CertificatePending', message } };
  const data = dataOf(secret);
  const needed = { use: 'certificate', namespace, name, path: 'spec.tls.certManager' } as const;
  // While it is being issued, the Secret may hold a key alone.
  return problemOf(needed, data) === undefined
    ? certificateIn(data)
    : { problem: { reason: 'CertificatePending', message } };
}

function certificateIn(data: SecretData | undefined): CertificateAnswer {
  if (data === undefined) return {};
  const text = (key: string): string => data.get(key)?.toString('utf8') ?? '';
  return { certificate: { certificate: text('tls.crt'), privateKey: text('tls.key') } };
}
