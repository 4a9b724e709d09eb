import type { PolicySnapshot } from './snapshot.ts';

/** Who is sending, once proved. An address is not an identity (G6). */
export type Identity =
  | {
      readonly kind: 'StaticUser';
      /** Namespace that the DomainPolicies' `senders` are matched against: the relay's own. */
      readonly namespace: string;
      readonly user: string;
    }
  | {
      readonly kind: 'TrustedNetwork';
      readonly namespace: string;
      /** The CIDR of the configuration that matched, not the client's address. */
      readonly network: string;
    };

/** The identity that the relay's owner gave to a network by name; undefined for every other address, loopback and private ones too. */
export function identifyNetwork(snapshot: PolicySnapshot, address: string): Identity | undefined {
  const network = snapshot.trustedNetworks.find(candidate => candidate.contains(address));
  if (network === undefined) return undefined;
  return { kind: 'TrustedNetwork', namespace: snapshot.config.namespace, network: network.text };
}

/** The identity of a user whose password was proved. */
export function identifyUser(snapshot: PolicySnapshot, user: string): Identity {
  return { kind: 'StaticUser', namespace: snapshot.config.namespace, user };
}

/** How refusals name the sender to itself. */
export function describeIdentity(identity: Identity): string {
  return identity.kind === 'StaticUser'
    ? `user ${identity.user} (namespace ${identity.namespace})`
    : `trusted network ${identity.network} (namespace ${identity.namespace})`;
}
