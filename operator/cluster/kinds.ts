/** The kinds that the operator reads or writes, as places in the API. */
import { apiVersion } from '../../crds/common.ts';
import type { Resource } from '../kube/object.ts';

export const mailRelays = place(apiVersion, 'MailRelay', 'mailrelays');
export const domainPolicies = place(apiVersion, 'DomainPolicy', 'domainpolicies');
export const namespaces: Resource = { apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces', isNamespaced: false };
export const secrets = place('v1', 'Secret', 'secrets');
export const pods = place('v1', 'Pod', 'pods');
export const persistentVolumeClaims = place('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims');

/** Kinds of objects that belong to a relay. */
const ownedKinds = [
  place('v1', 'ServiceAccount', 'serviceaccounts'),
  secrets,
  place('v1', 'ConfigMap', 'configmaps'),
  place('v1', 'Service', 'services'),
  place('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'),
  place('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  place('apps/v1', 'StatefulSet', 'statefulsets'),
  place('apps/v1', 'Deployment', 'deployments'),
  place('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
] as const;

/** Kinds of others, which this cluster may or may not know. */
export const optionalKinds = {
  certManager: place('cert-manager.io/v1', 'Certificate', 'certificates'),
  podMonitor: place('monitoring.coreos.com/v1', 'PodMonitor', 'podmonitors'),
  prometheusRule: place('monitoring.coreos.com/v1', 'PrometheusRule', 'prometheusrules'),
  dnsEndpoint: place('externaldns.k8s.io/v1alpha1', 'DNSEndpoint', 'dnsendpoints'),
} as const;
export type OptionalKind = keyof typeof optionalKinds;

/** Everything that is cached by the label of who manages it. */
export const managedKinds: readonly Resource[] = [...ownedKinds, ...Object.values(optionalKinds)];

function place(version: string, kind: string, plural: string): Resource {
  return { apiVersion: version, kind, plural, isNamespaced: true };
}

const resources = new Map(
  [...managedKinds, pods, persistentVolumeClaims].map(one => [`${one.apiVersion} ${one.kind}`, one]),
);

/** @throws RangeError for a kind that is none of these. */
export function resourceOf({ apiVersion, kind }: Pick<Resource, 'apiVersion' | 'kind'>): Resource {
  const resource = resources.get(`${apiVersion} ${kind}`);
  if (resource === undefined) throw new RangeError(`${apiVersion} ${kind} is no kind that is written here`);
  return resource;
}
