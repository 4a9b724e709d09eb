import { ConfigError, type PolicyConfig, type RelayConfig } from '../config.ts';
import { coveringPatterns, normalizeDomainPattern } from '../smtp/domain.ts';
import { type Network, parseNetwork } from './network.ts';

/** A configuration made ready for the chain: every question of a message is a look-up, however many policies there are. */
export interface PolicySnapshot {
  readonly config: RelayConfig;
  /** Longest prefix first, so that the nearest network names the identity. */
  readonly trustedNetworks: readonly Network[];
  readonly policies: ReadonlyMap<string, IndexedPolicy>;
}

export interface IndexedPolicy {
  readonly policy: PolicyConfig;
  readonly namespaces: ReadonlySet<string>;
  readonly users: ReadonlySet<string>;
}

/** @throws ConfigError naming every network and domain that is none, and every domain claimed twice. */
export function createPolicySnapshot(config: RelayConfig): PolicySnapshot {
  const faults: string[] = [];
  const snapshot = {
    config,
    trustedNetworks: indexNetworks(config.clients.trustedNetworks, faults),
    policies: indexPolicies(config.policies, faults),
  };
  if (faults.length > 0) throw new ConfigError(faults);
  return snapshot;
}

/** The policy for a normal domain: its own, else that of the nearest `*.` above it. */
export function findPolicy(snapshot: PolicySnapshot, domain: string): IndexedPolicy | undefined {
  for (const pattern of coveringPatterns(domain)) {
    const found = snapshot.policies.get(pattern);
    if (found !== undefined) return found;
  }
  return undefined;
}

function indexNetworks(texts: readonly string[], faults: string[]): Network[] {
  const networks = texts.flatMap((text, index) => {
    const network = parseNetwork(text);
    if (network === undefined) faults.push(`clients.trustedNetworks.${index}: must be an address or CIDR, not ${text}`);
    return network ?? [];
  });
  return networks.sort((a, b) => b.prefixLength - a.prefixLength);
}

function indexPolicies(policies: readonly PolicyConfig[], faults: string[]): Map<string, IndexedPolicy> {
  const byPattern = new Map<string, IndexedPolicy>();
  for (const policy of policies) {
    const { namespaces, users } = policy.senders;
    const indexed = { policy, namespaces: new Set(namespaces), users: new Set(users) };
    for (const domain of policy.domains) {
      const pattern = normalizeDomainPattern(domain);
      const place = `policies: ${policy.namespace}/${policy.name}`;
      if (pattern === undefined) faults.push(`${place}: ${domain} must be a domain or *. and a domain`);
      else if (byPattern.has(pattern)) faults.push(`${place}: ${domain} is claimed twice`);
      else byPattern.set(pattern, indexed);
    }
  }
  return byPattern;
}
