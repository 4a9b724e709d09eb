/**
 * What the operator sees of a cluster, in memory. Reading it never waits and never fails, but for Secrets that users own: these are
 * fetched one by one when they are needed, and never listed with their content.
 */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { SecretData } from '../credentials.ts';
import type { KubeObject, Resource } from '../kube/object.ts';
import type { Namespaces } from '../namespaces.ts';
import type { OptionalKind } from './kinds.ts';

export interface Cluster {
  /** By `namespace/name`. */
  relay(key: string): MailRelay | undefined;
  policy(key: string): DomainPolicy | undefined;
  relays(): Iterable<MailRelay>;
  policies(): Iterable<DomainPolicy>;
  /** Those whose relayRef names it, whether it lets them attach or not. */
  policiesNaming(relayKey: string): readonly DomainPolicy[];
  readonly namespaces: Namespaces;
  /** One object that carries our label; undefined also where there is one under the name that does not. */
  managed(resource: Resource, key: string): KubeObject | undefined;
  /** All objects of a kind with our label that say they belong to this relay. */
  managedOf(resource: Resource, relayKey: string): readonly KubeObject[];
  podsOf(relayKey: string): readonly KubeObject[];
  claimsOf(relayKey: string): readonly KubeObject[];
  /** Kinds of others that this cluster knows now. */
  readonly kinds: Readonly<Record<OptionalKind, boolean>>;
  /** Whether a Secret is under the name, whoever's it is. */
  hasSecret(key: string): boolean;
  /** The DKIM keys of a policy, wherever they are kept: Secrets of ours, labelled with the policy. */
  keySecretsOf(policyKey: string): readonly KubeObject[];
  /**
   * A Secret that a user owns, as it is now. `Missing`: it is not there. `Forbidden`: this operator may not read Secrets there.
   * Kept for as long as its resourceVersion stays and something refers to it. @throws ApiError, ConnectionError
   */
  readSecret(namespace: string, name: string, signal: AbortSignal): Promise<SecretData | 'Missing' | 'Forbidden'>;
}
