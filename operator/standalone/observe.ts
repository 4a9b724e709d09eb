/** What is: the manifests, what they refer to, and the keys kept for them (made where there are none yet). */
import { isIP } from 'node:net';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { managedDkimDefaults } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { Verdict } from '../conditions.ts';
import { policyNeeds, relayNeeds, type SecretData, type SecretProblem, secretProblem } from '../credentials.ts';
import { type Admission, admitPolicies } from '../domainpolicy/attach.ts';
import { type DkimKey, dkimKeyOf } from '../domainpolicy/dkim-key.ts';
import type { Certificate, CertificateNames } from '../mailrelay/certificate.ts';
import { offersTls } from '../mailrelay/desired/config.ts';
import type { Namespaces } from '../namespaces.ts';
import type { KeptKeys } from './keys.ts';
import type { Manifests } from './manifests.ts';

export interface Observed {
  readonly relay: MailRelay;
  readonly notSupported: string | undefined;
  readonly secretProblems: readonly SecretProblem[];
  readonly policies: readonly PolicyState[];
  readonly namespaces: Namespaces;
  readonly secrets: ReadonlyMap<string, SecretData>;
  readonly certificate: Certificate | undefined;
  /** Certificate of the relay's own authority, for clients to trust. */
  readonly authority: string | undefined;
}

export interface PolicyState {
  readonly policy: DomainPolicy;
  readonly admission: Verdict;
  readonly secretProblems: readonly SecretProblem[];
  readonly keys: readonly DkimKey[];
}

export interface ObserveInput {
  readonly manifests: Manifests;
  readonly relay: MailRelay;
  readonly keys: KeptKeys;
  readonly bindAddress: string;
}

export async function observe({ manifests, relay, keys, bindAddress }: ObserveInput): Promise<Observed> {
  const policies = manifests.objects.filter(object => object.kind === 'DomainPolicy');
  const namespaces = namespacesOf(manifests);
  const admissions = admitPolicies([relay], policies, namespaces);
  const secretProblems = relayNeeds(relay).flatMap(
    needed => secretProblem(needed, manifests.secrets.get(`${needed.namespace}/${needed.name}`)) ?? [],
  );
  const states = await observePolicies(admissions, { secrets: manifests.secrets, keys });
  const own =
    offersTls(relay) && relay.spec.tls.type === 'SelfSigned'
      ? await keys.certificate(relay, namesOf(relay, bindAddress))
      : undefined;
  return {
    relay,
    notSupported: notSupported(relay),
    secretProblems,
    policies: states,
    namespaces,
    secrets: manifests.secrets,
    certificate: own?.certificate ?? givenCertificate(relay, manifests.secrets, secretProblems),
    authority: own?.authority,
  };
}

/** Keys are made on Node's threads, a few policies at a time: each also holds a file open. */
const policiesAtATime = 16;

interface KeySources {
  readonly secrets: Observed['secrets'];
  readonly keys: KeptKeys;
}

async function observePolicies(admissions: readonly Admission[], sources: KeySources): Promise<PolicyState[]> {
  const states: PolicyState[] = [];
  for (let start = 0; start < admissions.length; start += policiesAtATime) {
    const some = admissions.slice(start, start + policiesAtATime);
    states.push(...(await Promise.all(some.map(admission => observePolicy(admission, sources)))));
  }
  return states;
}

async function observePolicy(
  { policy, verdict: admission }: Admission,
  { secrets, keys }: KeySources,
): Promise<PolicyState> {
  const secretProblems = policyNeeds(policy).flatMap(
    needed => secretProblem(needed, secrets.get(`${needed.namespace}/${needed.name}`)) ?? [],
  );
  const usable = admission.status === 'True' && secretProblems.length === 0;
  return { policy, admission, secretProblems, keys: usable ? await signingKeys(policy, secrets, keys) : [] };
}

async function signingKeys(policy: DomainPolicy, secrets: Observed['secrets'], keys: KeptKeys): Promise<DkimKey[]> {
  const { type, managed, secretRef } = policy.spec.dkim;
  if (type === 'Managed') {
    const algorithms = managed?.algorithms ?? managedDkimDefaults.algorithms;
    return await Promise.all(algorithms.map(algorithm => keys.dkim(policy, algorithm)));
  }
  const given = secrets.get(`${policy.metadata.namespace}/${secretRef?.name ?? ''}`) ?? new Map<string, Buffer>();
  return type === 'SecretRef' ? [...given].map(([selector, pem]) => dkimKeyOf(pem, selector)) : [];
}

/** A folder knows a namespace only by the objects in it, and such a namespace has the one label that each has. */
function namespacesOf({ objects, secrets }: Manifests): Namespaces {
  const names = [
    ...objects.map(({ metadata }) => metadata.namespace),
    ...[...secrets.keys()].map(name => name.slice(0, name.indexOf('/'))),
  ];
  return new Map(names.map(name => [name, { 'kubernetes.io/metadata.name': name }]));
}

function notSupported({ spec }: MailRelay): string | undefined {
  if (spec.queue.type === 'Redis') return 'spec.queue.type must be Volume without a cluster';
  return spec.tls.type === 'CertManager'
    ? 'spec.tls.type must be SelfSigned or SecretRef without a cluster'
    : undefined;
}

function namesOf({ spec }: MailRelay, bindAddress: string): CertificateNames {
  const wildcard = ['0.0.0.0', '::'].includes(bindAddress);
  const addresses = ['127.0.0.1', '::1', ...(wildcard || isIP(bindAddress) === 0 ? [] : [bindAddress])];
  const dnsNames = [spec.hostname, ...(spec.tls.additionalDNSNames ?? []), 'localhost'];
  return { dnsNames: [...new Set(dnsNames)], addresses: [...new Set(addresses)] };
}

function givenCertificate(
  { metadata: { namespace }, spec }: MailRelay,
  secrets: Observed['secrets'],
  problems: readonly SecretProblem[],
): Certificate | undefined {
  const { secretRef } = spec.tls;
  if (secretRef === undefined || problems.length > 0) return undefined;
  const data = secrets.get(`${namespace}/${secretRef.name}`);
  return { certificate: String(data?.get('tls.crt')), privateKey: String(data?.get('tls.key')) };
}
