import { describe, it } from 'node:test';
import { stringify } from 'yaml';
import type { MailRelay } from '../../../../crds/mail-relay.ts';
import type { RelayInput } from '../../../../operator/mailrelay/desired/input.ts';
import { assertGolden } from '../../../support/golden.ts';
import { attached, desiredOf, storedRelay } from '../relay-input.ts';

const listeners = [
  { name: 'smtp', port: 25, protocol: 'SMTP', tls: 'Optional', authentication: 'Optional' },
  { name: 'submission', port: 587, protocol: 'SMTP', tls: 'Required', authentication: 'Required' },
  { name: 'submissions', port: 465, protocol: 'SMTPS', authentication: 'Required' },
];
const bare = { certManager: false, podMonitor: false, prometheusRule: false };
const redis = {
  type: 'Redis',
  redis: {
    type: 'Single',
    addresses: ['redis.data:6379'],
    durability: 'Fsync',
    credentialsSecretRef: { name: 'redis' },
  },
};
const provider = {
  type: 'SmartHost',
  smartHost: {
    host: 'smtp.example.net',
    port: 587,
    credentialsSecretRef: { name: 'provider' },
    caSecretRef: { name: 'provider-ca' },
  },
};

interface Golden {
  readonly relay: MailRelay;
  readonly changes?: Partial<RelayInput>;
}

const cases: Readonly<Record<string, Golden>> = {
  quickstart: {
    relay: storedRelay({
      listeners,
      route: { type: 'Capture' },
      clients: { usersSecretRef: { name: 'smtp-users' } },
    }),
    changes: {
      kinds: bare,
      policies: [
        attached({ domains: ['example.com'], relayRef: { name: 'outbound' } }, { name: 'example', namespace: 'mail' }),
      ],
    },
  },
  'volume-3-replicas': {
    relay: storedRelay({
      replicas: 3,
      listeners,
      queue: { type: 'Volume', volume: { size: '50Gi', storageClassName: 'fast' } },
    }),
  },
  'redis-autoscaling': {
    relay: storedRelay({ listeners, queue: redis, autoscaling: { minReplicas: 2, maxReplicas: 8 } }),
    changes: {
      existing: {
        workload: { replicas: 2, claimSize: undefined, fileShards: 1 },
        configText: undefined,
        fileShards: [],
        pods: [],
        claims: new Map(),
        hasAutoscaler: true,
      },
    },
  },
  'cert-manager': {
    relay: storedRelay({
      listeners,
      tls: {
        type: 'CertManager',
        additionalDNSNames: ['smtp.example.com'],
        certManager: { issuerRef: { name: 'internal', kind: 'ClusterIssuer' } },
      },
    }),
  },
  'everything-on': {
    relay: storedRelay({
      replicas: 4,
      listeners: [
        ...listeners,
        { name: 'odd', port: 8080, bindPort: 8025, tls: 'Disabled', proxyProtocol: { from: ['10.0.0.0/8'] } },
      ],
      policies: { namespaces: { from: 'All' } },
      route: provider,
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
    }),
    changes: {
      policies: [
        attached(),
        attached(
          { domains: ['bank.example.com', '*.bank.example.com'], route: provider },
          { name: 'bank', namespace: 'bank' },
        ),
      ],
    },
  },
};

describe('the objects of a relay', () => {
  for (const [name, { relay, changes }] of Object.entries(cases)) {
    it(`are as in test/golden/mailrelay/${name}.yaml`, async () => {
      const { objects } = desiredOf(relay, changes);
      const documents = objects.map(object => stringify(object, { aliasDuplicateObjects: false, lineWidth: 120 }));
      await assertGolden(`mailrelay/${name}.yaml`, Buffer.from(documents.join('---\n')));
    });
  }
});
