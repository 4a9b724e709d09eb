/** Which DomainPolicies a MailRelay takes: the handshake, and who wins a domain that two claim. */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { fails, holds, type Verdict } from '../conditions.ts';
import { choosesNamespace, type Namespaces } from '../namespaces.ts';

export interface Admission {
  readonly policy: DomainPolicy;
  /** Of type Accepted; True: attached. */
  readonly verdict: Verdict;
}

/** `relays` is all there are; the answer is for all policies, each attached to its own. In the order of the input. */
export function admitPolicies(
  relays: readonly MailRelay[],
  policies: readonly DomainPolicy[],
  namespaces: Namespaces,
): Admission[] {
  const byName = new Map(relays.map(relay => [nameOf(relay), relay]));
  const verdicts = new Map<DomainPolicy, Verdict>();
  const owners = new Map<string, DomainPolicy>();
  for (const policy of [...policies].sort(byAge)) {
    const verdict = handshake(byName.get(relayNameOf(policy)), policy, namespaces) ?? claim(policy, owners);
    verdicts.set(policy, verdict);
  }
  return policies.flatMap(policy => {
    const verdict = verdicts.get(policy);
    return verdict === undefined ? [] : [{ policy, verdict }];
  });
}

export function relayNameOf({ metadata, spec: { relayRef } }: DomainPolicy): string {
  return `${relayRef.namespace ?? metadata.namespace}/${relayRef.name}`;
}

export function nameOf({ metadata: { namespace, name } }: MailRelay | DomainPolicy): string {
  return `${namespace}/${name}`;
}

function handshake(relay: MailRelay | undefined, policy: DomainPolicy, namespaces: Namespaces): Verdict | undefined {
  const allowed =
    relay !== undefined &&
    choosesNamespace(relay.spec.policies.namespaces, relay.metadata.namespace, namespaces)(policy.metadata.namespace);
  if (allowed) return undefined;
  // One wording for "not there" and "not for you": nobody may find out by asking which relays other namespaces have.
  return fails(
    'Accepted',
    'RelayNotFound',
    `there is no MailRelay ${relayNameOf(policy)} that lets policies of namespace ${policy.metadata.namespace} attach (its spec.policies.namespaces says which)`,
  );
}

/** All domains of a policy or none: half a policy would be a surprise to both sides. */
function claim(policy: DomainPolicy, owners: Map<string, DomainPolicy>): Verdict {
  const relay = relayNameOf(policy);
  const taken = policy.spec.domains.flatMap(domain => {
    const owner =
      owners.get(`${relay} ${domain}`) ?? ownerAbove(domain, policy, pattern => owners.get(`${relay} ${pattern}`));
    return owner === undefined ? [] : [`${domain} belongs to ${nameOf(owner)}`];
  });
  if (taken.length > 0)
    return fails(
      'Accepted',
      'Conflicted',
      `${taken.join('; ')}: the older policy wins, then the first by namespace and name`,
    );
  for (const domain of policy.spec.domains) owners.set(`${relay} ${domain}`, policy);
  return holds('Accepted', 'Accepted', `attached to MailRelay ${relay}`);
}

/**
 * A relay takes the nearest policy for a domain: without this, whoever may attach could take any one domain out of another namespace's `*.`.
 * Within a namespace that is what one wants.
 */
function ownerAbove(
  domain: string,
  { metadata: { namespace } }: DomainPolicy,
  ownerOf: (pattern: string) => DomainPolicy | undefined,
): DomainPolicy | undefined {
  for (const pattern of patternsAbove(domain)) {
    const owner = ownerOf(pattern);
    if (owner !== undefined && owner.metadata.namespace !== namespace) return owner;
  }
  return undefined;
}

/** Of `a.b.example`: `*.b.example`, `*.example`; of `*.b.example`: `*.example`. */
function patternsAbove(domain: string): string[] {
  const [, ...above] = domain.replace(/^\*\./, '').split('.');
  return above.map((_, index) => `*.${above.slice(index).join('.')}`);
}

/**
 * Those of `policies` whose verdict may hang on this one's: they claim the same domain, one below or above it, or hang on one that does. Linear
 * in the number of policies.
 */
export function rivalsOf(policy: DomainPolicy, policies: readonly DomainPolicy[]): DomainPolicy[] {
  const claimed = new Set([policy, ...policies].flatMap(({ spec }) => spec.domains));
  const touched = ({ spec }: DomainPolicy): string[] =>
    spec.domains.flatMap(domain => [domain, ...patternsAbove(domain).filter(pattern => claimed.has(pattern))]);
  const byDomain = new Map<string, DomainPolicy[]>();
  for (const one of policies)
    for (const domain of touched(one)) {
      const known = byDomain.get(domain);
      if (known === undefined) byDomain.set(domain, [one]);
      else known.push(one);
    }
  const found = new Set<DomainPolicy>();
  const waiting = touched(policy);
  for (let domain = waiting.pop(); domain !== undefined; domain = waiting.pop()) {
    const fresh = (byDomain.get(domain) ?? []).filter(one => !found.has(one));
    // Once looked up, a domain has nobody new.
    byDomain.delete(domain);
    for (const one of fresh) {
      found.add(one);
      waiting.push(...touched(one));
    }
  }
  return [...found];
}

/** Oldest first, then by namespace and name. Without a cluster there are no creation times, and names decide alone. */
function byAge(one: DomainPolicy, other: DomainPolicy): number {
  const key = ({ metadata }: DomainPolicy): string[] => [
    metadata.creationTimestamp ?? '',
    metadata.namespace,
    metadata.name,
  ];
  const [left, right] = [key(one), key(other)];
  const index = left.findIndex((part, at) => part !== right[at]);
  return index === -1 ? 0 : (left[index] ?? '') < (right[index] ?? '') ? -1 : 1;
}
