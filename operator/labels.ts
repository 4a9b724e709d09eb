/** Names of labels, annotations and the writer; and the metadata that every object of a relay has. */
import { apiVersion } from '../crds/common.ts';
import type { MailRelay } from '../crds/mail-relay.ts';
import type { OwnerReference } from './kube/object.ts';

type Labels = Readonly<Record<string, string>>;

/** Who writes through server-side apply. Changing it would leave every field to two owners. */
export const fieldManager = 'postroad-operator';

/** Keeps the number of pods when it passes to an autoscaler (desired/workload.ts), and marks pods that go first (desired/deletion-costs.ts). */
export const handoverFieldManager = 'postroad-handover';

/** On a pod: the configuration that its files should hold. Changing it makes kubelet look at once instead of within its sync period. */
export const revisionAnnotation = 'postroad.dev/configuration-revision';

/** On a pod: how many times it was told again of that configuration, since kubelet may have looked too early. */
export const nudgesAnnotation = 'postroad.dev/nudges';

/** On a pod: Kubernetes' own. Of a ReplicaSet that becomes smaller, ready pods with a lower number go first; 0 where there is none. */
export const deletionCostAnnotation = 'controller.kubernetes.io/pod-deletion-cost';

/** On a pod: `true` from its template, and `false` once it should take no new clients. The Service asks for it, the workload does not. */
export const servingLabel = 'postroad.dev/serving';

/** On a MailRelay, value `true`: what waits in queues is left behind on its volumes instead of being delivered first. */
export const skipDrainAnnotation = 'postroad.dev/skip-drain';

/** On a namespace, value `Allowed`: what its DomainPolicies ask for may be left to external-dns. Who may write policies may not write this. */
export const publishDnsLabel = 'postroad.dev/publish-dns';

export const drainFinalizer = 'postroad.dev/drain';

/** On a DomainPolicy, any text: a new one replaces the policy's DKIM keys now, and those of before are trusted no more. */
export const rotateKeysAnnotation = 'postroad.dev/rotate-keys';

/** On what is made for a DomainPolicy, and lives in the relay's namespace. */
export const policyNamespaceLabel = 'postroad.dev/policy-namespace';
export const policyNameLabel = 'postroad.dev/policy-name';

/** What the pods of a relay are found by. A workload's selector can never change, so neither can this. */
export function selectorLabels({ metadata: { name } }: MailRelay): Labels {
  return {
    'app.kubernetes.io/name': 'postroad',
    'app.kubernetes.io/component': 'relay',
    'app.kubernetes.io/instance': name,
  };
}

/** As the scale subresource wants it. */
export function selectorText(relay: MailRelay): string {
  return Object.entries(selectorLabels(relay))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** No app.kubernetes.io/version: an update of the operator would rewrite every object for nothing. */
export function objectLabels(relay: MailRelay): Labels {
  return {
    ...selectorLabels(relay),
    'app.kubernetes.io/part-of': 'postroad',
    'app.kubernetes.io/managed-by': fieldManager,
  };
}

/** @throws Error for a relay that did not come from an API server: it has no uid to own by. */
export function ownerReferenceTo({ kind, metadata: { name, uid } }: MailRelay): OwnerReference {
  if (uid === undefined) throw new Error(`${kind} ${name} has no uid`);
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/** Whether an object that is there already may be written to; what somebody else made under our name is left alone. */
export function isOwnedBy(references: readonly OwnerReference[] | undefined, { metadata }: MailRelay): boolean {
  return (references ?? []).some(({ controller, uid }) => controller === true && uid === metadata.uid);
}
