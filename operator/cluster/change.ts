/** What is told of a cluster when something in it is new, different or gone. The caches already show it. */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { KubeObject, Resource } from '../kube/object.ts';
import type { Change } from '../kube/reflector.ts';
import { policyNameLabel, policyNamespaceLabel } from '../labels.ts';

export type ClusterChange =
  | ({ readonly about: 'Relay' } & Change<MailRelay>)
  | ({ readonly about: 'Policy' } & Change<DomainPolicy>)
  /** Its labels alone are known. */
  | ({ readonly about: 'Namespace' } & Change<KubeObject>)
  | ({ readonly about: 'Managed'; readonly resource: Resource } & Change<KubeObject>)
  | ({ readonly about: 'Pod' } & Change<KubeObject>)
  | ({ readonly about: 'Claim' } & Change<KubeObject>)
  /** A Secret that a user owns and that these relays and policies refer to, by `namespace/name`. */
  | {
      readonly about: 'UserSecret';
      readonly key: string;
      readonly relays: readonly string[];
      readonly policies: readonly string[];
      readonly isInitial: boolean;
    }
  /** A kind of others has come to this cluster or left it. */
  | { readonly about: 'Kinds'; readonly isInitial: boolean };

/** The relay that an object says it belongs to, by `namespace/name`. */
export function relayKeyOf({ metadata: { namespace, labels } }: KubeObject): string | undefined {
  const name = labels?.['app.kubernetes.io/instance'];
  return namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`;
}

/** The policy that an object says it belongs to, by `namespace/name`. */
export function policyKeyOf({ metadata: { labels } }: KubeObject): string | undefined {
  const [namespace, name] = [labels?.[policyNamespaceLabel], labels?.[policyNameLabel]];
  return namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`;
}

/** A status, a label or an annotation alone is new: nothing that is asked for differs. */
export function isSameSpec(change: Extract<ClusterChange, { about: 'Relay' | 'Policy' }>): boolean {
  const { type, object, previous } = change;
  return (
    type === 'updated' &&
    previous?.metadata.generation === object.metadata.generation &&
    previous?.metadata.uid === object.metadata.uid
  );
}
