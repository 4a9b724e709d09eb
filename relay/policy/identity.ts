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
