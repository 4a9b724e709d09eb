/** Every value of the chart, set to something else than it is anyhow, and where that must show in what helm renders. */
import type { Values } from './helm.ts';

export interface ValuesCase {
  readonly name: string;
  readonly values: Values;
  /** Must be somewhere in the objects, as JSON. */
  readonly shows?: readonly RegExp[];
  /** Must be nowhere. */
  readonly lacks?: readonly RegExp[];
  readonly kinds?: Readonly<Record<string, number>>;
}

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
const spread = { maxSkew: 2, topologyKey: 'example.com/rack', whenUnsatisfiable: 'DoNotSchedule' };

export const valuesCases: readonly ValuesCase[] = [
  {
    name: 'nothing set',
    values: {},
    shows: [/"helm.sh\/resource-policy":"keep"/, /"helm.sh\/hook":"post-delete"/, /"--relays=Keep"/],
    kinds: {
      CustomResourceDefinition: 2,
      Deployment: 1,
      ServiceMonitor: 0,
      PrometheusRule: 0,
      ConfigMap: 0,
      PodDisruptionBudget: 1,
    },
  },
  {
    name: 'an image of its own',
    values: {
      image: { repository: 'registry.example.com/mail/postroad', tag: '9.9.9', pullPolicy: 'Always' },
      imagePullSecrets: [{ name: 'registry' }],
    },
    shows: [
      /"image":"registry.example.com\/mail\/postroad:9.9.9"/,
      /--image=registry.example.com\/mail\/postroad:9.9.9/,
      /"imagePullPolicy":"Always"/,
      /"imagePullSecrets":\[{"name":"registry"}\]/,
    ],
    lacks: [/ghcr.io/],
  },
  {
    name: 'a digest goes before a tag',
    values: { image: { tag: '9.9.9', digest } },
    shows: [new RegExp(`"image":"ghcr.io/postroad/postroad@${digest}"`)],
    lacks: [/9\.9\.9/],
  },
  {
    name: 'another name',
    values: { nameOverride: 'post' },
    shows: [/"name":"mailer-post"/, /--lease-name=mailer-post"/],
  },
  {
    name: 'another full name',
    values: { fullnameOverride: 'relays' },
    shows: [/"name":"relays"/],
    lacks: [/mailer-postroad/],
  },
  {
    name: 'a very long name',
    values: { fullnameOverride: 'a-name-that-is-much-longer-than-names-should-be-in-any-place' },
    shows: [/"name":"a-name-that-is-much-longer-than-names-sh"/],
  },
  { name: 'definitions by other means', values: { crds: { enabled: false } }, kinds: { CustomResourceDefinition: 0 } },
  {
    name: 'definitions go with the chart',
    values: { crds: { keep: false }, uninstall: { drainTimeoutSeconds: 77 } },
    shows: [
      /"helm.sh\/hook":"pre-delete"/,
      /"--relays=Delete","--drain-timeout-seconds=77"/,
      /"activeDeadlineSeconds":167/,
    ],
    lacks: [/resource-policy/],
  },
  { name: 'no hook', values: { uninstall: { hook: false } }, kinds: { Job: 0 }, lacks: [/uninstall/] },
  {
    name: 'confined',
    values: { relayNamespaces: ['mail', 'mail-staging'] },
    shows: [/--relay-namespaces=mail,mail-staging"/],
    // Two for relays, one for the lease, one for `helm test`.
    kinds: { RoleBinding: 4 },
  },
  {
    name: 'one replica, tuned',
    values: {
      operator: {
        replicas: 1,
        logLevel: 'debug',
        workers: 3,
        nameservers: ['10.0.0.9:5353', '[::1]:53'],
        clusterDomain: 'cluster.example',
        podUser: 4242,
        lease: { durationSeconds: 60, renewDeadlineSeconds: 40, retrySeconds: 5 },
        extraArgs: ['--leader-election=Enabled'],
        extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/etc/ca.pem' }],
        resources: { limits: { memory: '1Gi' } },
      },
      relays: { logLevel: 'warn' },
    },
    shows: [
      /"replicas":1,/,
      /"--lease-duration-seconds=60","--renew-deadline-seconds=40","--retry-seconds=5"/,
      /"--nameservers=10.0.0.9:5353,\[::1\]:53"/,
      /{"port":5353,"protocol":"UDP"},{"port":5353,"protocol":"TCP"}/,
      /"--cluster-domain=cluster.example","--log-level=debug","--relay-log-level=warn","--workers=3"/,
      /"runAsUser":4242,"runAsGroup":4242/,
      /"--leader-election=Enabled"/,
      /NODE_EXTRA_CA_CERTS/,
      /"memory":"1Gi"/,
    ],
    kinds: { PodDisruptionBudget: 0 },
  },
  {
    name: 'the platform gives out users',
    values: { operator: { podUser: null } },
    shows: [/"--pod-user="/],
    lacks: [/runAsUser/],
  },
  {
    name: 'where its pods go',
    values: {
      operator: {
        annotations: { 'example.com/of': 'deployment' },
        podAnnotations: { 'example.com/of': 'pod' },
        podLabels: { team: 'mail' },
        nodeSelector: { 'kubernetes.io/arch': 'arm64' },
        tolerations: [{ key: 'infra', operator: 'Exists' }],
        affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
        topologySpreadConstraints: [spread],
        priorityClassName: 'system-cluster-critical',
        podDisruptionBudget: false,
      },
    },
    shows: [
      /"example.com\/of":"deployment"/,
      /"example.com\/of":"pod"/,
      /"team":"mail"/,
      /"nodeSelector":{"kubernetes.io\/arch":"arm64"}/,
      /"key":"infra"/,
      /"affinity":{"nodeAffinity"/,
      /"topologyKey":"example.com\/rack"/,
      /"priorityClassName":"system-cluster-critical"/,
    ],
    lacks: [/kubernetes.io\/hostname/],
    kinds: { PodDisruptionBudget: 0 },
  },
  {
    name: 'a service account of somebody else',
    values: { serviceAccount: { create: false, name: 'given' } },
    shows: [/"serviceAccountName":"given"/, /"subjects":\[{"kind":"ServiceAccount","name":"given"/],
    // Those of both hooks.
    kinds: { ServiceAccount: 2 },
  },
  {
    name: 'a service account with a name',
    values: { serviceAccount: { name: 'poster', annotations: { 'example.com/role': 'mail' } } },
    shows: [/"serviceAccountName":"poster"/, /"example.com\/role":"mail"/],
    kinds: { ServiceAccount: 3 },
  },
  // What is left is of the hooks.
  {
    name: 'roles by other means',
    values: { rbac: { create: false, aggregate: false } },
    kinds: { ClusterRole: 1, Role: 1 },
  },
  { name: 'no network policy', values: { networkPolicy: { enabled: false } }, kinds: { NetworkPolicy: 0 } },
  {
    name: 'an API server on a port of its own',
    values: { networkPolicy: { apiServerPorts: [16443] } },
    shows: [/{"port":16443,"protocol":"TCP"}/],
    lacks: [/6443,"protocol":"TCP"},{/],
  },
  {
    name: 'name servers of the cluster on a port of their own',
    values: { networkPolicy: { dnsPorts: [53, 5353] } },
    shows: [/{"port":5353,"protocol":"UDP"}/, /{"port":5353,"protocol":"TCP"}/],
    lacks: [/"port":53,"protocol":"UDP".*"port":53,"protocol":"UDP"/],
  },
  {
    name: 'all of monitoring',
    values: {
      monitoring: {
        namespaces: ['monitoring'],
        labels: { release: 'prometheus' },
        serviceMonitor: 'Enabled',
        interval: '1m',
        rules: 'Enabled',
        dashboard: true,
        dashboardLabels: { dashboards: 'yes' },
        runbookUrl: 'https://example.com/runbook',
      },
    },
    shows: [
      /"--monitoring-namespaces=monitoring","--monitoring-labels=release=prometheus","--runbook-url=https:\/\/example.com\/runbook"/,
      /"interval":"1m"/,
      /"release":"prometheus"/,
      /"dashboards":"yes"/,
      /"runbook_url":"https:\/\/example.com\/runbook#postroadoperatordown"/,
      /up{namespace=\\"postroad-system\\",pod=~\\"mailer-postroad-\[a-z0-9\]\+-\[a-z0-9\]\+\\"}/,
      /"values":\["monitoring"\]/,
    ],
    lacks: [/\$pods/, /\$runbooks/],
    kinds: { ServiceMonitor: 1, PrometheusRule: 1, ConfigMap: 1 },
  },
  {
    name: 'no monitoring whatever the cluster knows',
    values: { monitoring: { serviceMonitor: 'Disabled', rules: 'Disabled' } },
    kinds: { ServiceMonitor: 0, PrometheusRule: 0 },
  },
];

/** Values that the schema refuses, with what it says of them. */
export const refusedValues: readonly (readonly [values: Values, says: RegExp])[] = [
  [{ replicas: 3 }, /additional properties 'replicas'/],
  [{ operator: { replica: 3 } }, /additional properties 'replica'/],
  [{ operator: { replicas: '3' } }, /\/operator\/replicas/],
  [{ operator: { replicas: -1 } }, /\/operator\/replicas/],
  [{ operator: { logLevel: 'verbose' } }, /\/operator\/logLevel/],
  [{ relays: { logLevel: 'silent' } }, /\/relays\/logLevel/],
  [{ operator: { podUser: 0 } }, /\/operator\/podUser/],
  [{ operator: { lease: { durationSeconds: 1.5 } } }, /\/operator\/lease\/durationSeconds/],
  [{ operator: { nameservers: ['10.0.0.1'] } }, /\/operator\/nameservers\/0/],
  [{ operator: { extraArgs: ['workers=1'] } }, /\/operator\/extraArgs\/0/],
  [{ operator: { podLabels: { team: 'a b' } } }, /\/operator\/podLabels\/team/],
  [{ image: { digest: 'sha256:0' } }, /\/image\/digest/],
  [{ image: { repository: 'a@b' } }, /\/image\/repository/],
  [{ image: { pullPolicy: 'Sometimes' } }, /\/image\/pullPolicy/],
  [{ imagePullSecrets: ['registry'] }, /\/imagePullSecrets\/0/],
  [{ crds: { keep: 'yes' } }, /\/crds\/keep/],
  [{ relayNamespaces: 'mail' }, /\/relayNamespaces/],
  [{ relayNamespaces: ['mail', 'mail'] }, /\/relayNamespaces/],
  [{ relayNamespaces: ['Mail'] }, /\/relayNamespaces\/0/],
  [{ monitoring: { serviceMonitor: true } }, /\/monitoring\/serviceMonitor/],
  [{ monitoring: { interval: '30' } }, /\/monitoring\/interval/],
  [{ monitoring: { runbookUrl: 'docs' } }, /\/monitoring\/runbookUrl/],
  [{ networkPolicy: { apiServerPorts: [] } }, /\/networkPolicy\/apiServerPorts/],
  [{ networkPolicy: { apiServerPorts: [0] } }, /\/networkPolicy\/apiServerPorts\/0/],
  [{ networkPolicy: { dnsPorts: ['dns'] } }, /\/networkPolicy\/dnsPorts\/0/],
  [{ serviceAccount: { name: 'A B' } }, /\/serviceAccount\/name/],
  [{ uninstall: { drainTimeoutSeconds: -1 } }, /\/uninstall\/drainTimeoutSeconds/],
];
