/** Objects as an operator writes them, one of each kind, with all that a server says differently: defaults, quantities, stringData, sets. */
import type { KubeObject, Resource } from '../../operator/kube/object.ts';

function resource(apiVersion: string, kind: string, plural: string): Resource {
  return { apiVersion, kind, plural, isNamespaced: true };
}

const labels = { app: 'relay', 'app.kubernetes.io/managed-by': 'postroad' };
const metadata = (name: string): KubeObject['metadata'] => ({ name, namespace: 'mail', labels });

const podSpec = {
  serviceAccountName: 'relay',
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  terminationGracePeriodSeconds: 60,
  nodeSelector: {},
  tolerations: [],
  topologySpreadConstraints: [
    {
      maxSkew: 1,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels: labels },
    },
  ],
  containers: [
    {
      name: 'relay',
      image: 'postroad:test',
      args: ['--config', '/etc/postroad/config.json'],
      env: [
        { name: 'PLAIN', value: '' },
        { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      ],
      ports: [
        { name: 'smtp', containerPort: 2525 },
        { name: 'http', containerPort: 8080, protocol: 'TCP' },
      ],
      resources: { requests: { cpu: '1000m', memory: '1024Mi' }, limits: { memory: '1.5Gi' } },
      readinessProbe: { httpGet: { path: '/readyz', port: 'http' } },
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        readOnlyRootFilesystem: true,
      },
      volumeMounts: [
        { name: 'config', mountPath: '/etc/postroad' },
        { name: 'queue', mountPath: '/var/lib/postroad' },
      ],
    },
  ],
  volumes: [
    { name: 'config', configMap: { name: 'relay' } },
    {
      name: 'secrets',
      projected: { sources: [{ secret: { name: 'relay' } }, { secret: { name: 'users', optional: true } }] },
    },
  ],
};

const statefulSet = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: metadata('relay'),
  spec: {
    replicas: 2,
    serviceName: 'relay-pods',
    selector: { matchLabels: labels },
    podManagementPolicy: 'Parallel',
    template: { metadata: { labels }, spec: podSpec },
    volumeClaimTemplates: [
      {
        metadata: { name: 'queue' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10240Mi' } } },
      },
    ],
  },
};

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: metadata('relay'),
  spec: {
    replicas: 2,
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: { ...podSpec, volumes: [...podSpec.volumes, { name: 'queue', emptyDir: {} }] },
    },
  },
};

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: metadata('relay'),
  spec: {
    selector: labels,
    ports: [
      { name: 'smtp', port: 25, targetPort: 2525 },
      { name: 'submission', port: 587, targetPort: 'submission', protocol: 'TCP' },
    ],
  },
};

const networkPolicy = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: metadata('relay'),
  spec: {
    podSelector: { matchLabels: labels },
    policyTypes: ['Ingress'],
    ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ port: 2525 }, { port: 'http', protocol: 'TCP' }] }],
  },
};

const secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: metadata('relay'),
  type: 'Opaque',
  stringData: { 'tls.key': 'not a key' },
};

const role = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'Role',
  metadata: metadata('relay'),
  rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get'] }],
};

const roleBinding = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: metadata('relay'),
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'relay' },
  subjects: [{ kind: 'ServiceAccount', name: 'relay' }],
};

const budget = {
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: metadata('relay'),
  spec: { maxUnavailable: 1, selector: { matchLabels: labels } },
};

const autoscaler = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: metadata('relay'),
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'relay' },
    minReplicas: 2,
    maxReplicas: 5,
    metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } }],
  },
};

const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('relay'), data: { 'config.json': '{}' } };
const account = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: metadata('relay'),
  automountServiceAccountToken: false,
};

export const ownedObjects: readonly { readonly resource: Resource; readonly wanted: KubeObject }[] = [
  { resource: resource('v1', 'ServiceAccount', 'serviceaccounts'), wanted: account },
  { resource: resource('v1', 'ConfigMap', 'configmaps'), wanted: configMap },
  { resource: resource('v1', 'Secret', 'secrets'), wanted: secret },
  { resource: resource('v1', 'Service', 'services'), wanted: service },
  { resource: resource('apps/v1', 'StatefulSet', 'statefulsets'), wanted: statefulSet },
  { resource: resource('apps/v1', 'Deployment', 'deployments'), wanted: deployment },
  { resource: resource('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'), wanted: budget },
  { resource: resource('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies'), wanted: networkPolicy },
  { resource: resource('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'), wanted: autoscaler },
  { resource: resource('rbac.authorization.k8s.io/v1', 'Role', 'roles'), wanted: role },
  { resource: resource('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings'), wanted: roleBinding },
];

export const widgets: Resource = {
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  plural: 'widgets',
  isNamespaced: true,
};

const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/** A kind with a status of its own. */
export const widgetDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { kind: 'Widget', plural: 'widgets', singular: 'widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: open, status: open } } },
      },
    ],
  },
};
