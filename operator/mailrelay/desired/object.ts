/** A Kubernetes object as plain JSON: exactly the fields that we decide, which server-side apply then owns. */
import type { MailRelay } from '../../../crds/mail-relay.ts';
import type { OwnerReference } from '../../kube/object.ts';
import { objectLabels, ownerReferenceTo } from '../../labels.ts';

export interface DesiredObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: DesiredMetadata;
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export interface DesiredMetadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Owned by the relay, so that it goes when the relay goes. */
export function ownedMetadata(relay: MailRelay, name: string): DesiredMetadata {
  return {
    name,
    namespace: relay.metadata.namespace,
    labels: objectLabels(relay),
    ownerReferences: [ownerReferenceTo(relay)],
  };
}
