/** What the owners of the relays of test/golden/mailrelay write, by the name of the file. */
type Fields = Readonly<Record<string, unknown>>;

const listeners = [
  { name: 'smtp', port: 25, protocol: 'SMTP', tls: 'Optional', authentication: 'Optional' },
  { name: 'submission', port: 587, protocol: 'SMTP', tls: 'Required', authentication: 'Required' },
  { name: 'submissions', port: 465, protocol: 'SMTPS', authentication: 'Required' },
];
const redis = {
  type: 'Redis',
  redis: {
    type: 'Single',
    addresses: ['redis.data:6379'],
    durability: 'Fsync',
    credentialsSecretRef: { name: 'redis' },
  },
};
/** Of a relay, and of a policy: each has its Secrets in its own namespace. */
export const goldenProvider: Fields = {
  type: 'SmartHost',
  smartHost: {
    host: 'smtp.example.net',
    port: 587,
    credentialsSecretRef: { name: 'provider' },
    caSecretRef: { name: 'provider-ca' },
  },
};

export const goldenRelays = {
  quickstart: {
    listeners,
    route: { type: 'Capture' },
    clients: { usersSecretRef: { name: 'smtp-users' } },
  },
  'volume-3-replicas': {
    replicas: 3,
    listeners,
    queue: { type: 'Volume', volume: { size: '50Gi', storageClassName: 'fast' } },
  },
  'redis-autoscaling': {
    listeners,
    queue: redis,
    autoscaling: { minReplicas: 2, maxReplicas: 8, targetQueueAgeSeconds: 60 },
  },
  'redis-sentinel': {
    replicas: 3,
    listeners,
    queue: {
      type: 'Redis',
      redis: {
        type: 'Sentinel',
        addresses: ['sentinel-0.data:26379', 'sentinel-1.data:26379', 'sentinel-2.data:26379'],
        sentinel: { masterName: 'queue', credentialsSecretRef: { name: 'sentinel' } },
        durability: 'Fsync',
        credentialsSecretRef: { name: 'redis' },
        caSecretRef: { name: 'redis-ca' },
      },
    },
  },
  'cert-manager': {
    listeners,
    tls: {
      type: 'CertManager',
      additionalDNSNames: ['smtp.example.com'],
      certManager: { issuerRef: { name: 'internal', kind: 'ClusterIssuer' } },
    },
  },
  'everything-on': {
    replicas: 4,
    listeners: [
      ...listeners,
      { name: 'odd', port: 8080, bindPort: 8025, tls: 'Disabled', proxyProtocol: { from: ['10.0.0.0/8'] } },
    ],
    policies: { namespaces: { from: 'All' } },
    route: goldenProvider,
    clients: { usersSecretRef: { name: 'smtp-users' }, trustedNetworks: ['10.0.0.0/8'] },
    disruption: { maxUnavailable: 2 },
    shutdown: { gracePeriodSeconds: 120 },
    template: {
      labels: { team: 'mail' },
      annotations: { 'example.com/note': 'edge' },
      image: 'registry.example.com/mail/postroad:0.1.1',
      imagePullPolicy: 'IfNotPresent',
      imagePullSecrets: [{ name: 'registry' }],
      resources: { requests: { cpu: 1, memory: '1Gi' }, limits: { memory: '1Gi' } },
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ key: 'mail', operator: 'Equal', value: 'only', effect: 'NoSchedule' }],
      topologySpreadConstraints: [
        { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' },
      ],
      priorityClassName: 'mail',
    },
  },
} satisfies Readonly<Record<string, Fields>>;
export type GoldenName = keyof typeof goldenRelays;
