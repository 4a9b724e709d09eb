/** What was observed of a relay, from what a test cares about. Secrets are made up: nothing here looks into them. */
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { policyNeeds, relayNeeds, type SecretData } from '../../../operator/credentials.ts';
import { offersTls } from '../../../operator/mailrelay/desired/config.ts';
import { type Desired, desiredRelay } from '../../../operator/mailrelay/desired/desired.ts';
import {
  type AttachedPolicy,
  type DesiredOptions,
  noExisting,
  type ObservedPod,
  type RelayInput,
} from '../../../operator/mailrelay/desired/input.ts';
import type { DesiredObject } from '../../../operator/mailrelay/desired/object.ts';
import { domainPolicy, mailRelay } from '../builders.ts';

type Fields = Readonly<Record<string, unknown>>;

/** In every value that must stay secret. */
export const secretMarker = 'keep-this-secret';

export const options: DesiredOptions = {
  image: 'registry.example.com/postroad:0.1.0',
  clusterDomain: 'cluster.local',
  logLevel: 'info',
  podUser: 65_532,
  operator: {
    namespace: 'postroad-system',
    podLabels: { 'app.kubernetes.io/name': 'postroad', 'app.kubernetes.io/component': 'operator' },
  },
  monitoringNamespaces: ['monitoring'],
  monitoringLabels: { release: 'prometheus' },
  runbookUrl: 'https://postroad.dev/docs/runbooks',
};

/** As from an API server. */
export function storedRelay(spec: Fields = {}, metadata: Fields = {}): MailRelay {
  const relay = mailRelay(spec, metadata['name'] === undefined ? {} : { name: metadata['name'] });
  const uid = '00000000-0000-4000-8000-000000000001';
  return { ...relay, metadata: { ...relay.metadata, uid, generation: 1, ...metadata } };
}

export function attached(spec: Fields = {}, metadata: Fields = {}): AttachedPolicy {
  const policy = domainPolicy(spec, metadata);
  const { namespace, name } = policy.metadata;
  const key = (algorithm: 'RSA2048' | 'Ed25519') => ({
    selector: `pr${algorithm.toLowerCase()}`,
    algorithm,
    privateKeyPem: `${secretMarker} ${algorithm} ${namespace}/${name}`,
    recordValue: 'v=DKIM1; p=',
  });
  return { policy, complete: true, keys: [key('RSA2048'), key('Ed25519')] };
}

export function inputOf(relay: MailRelay, changes: Partial<RelayInput> = {}): RelayInput {
  const policies = changes.policies ?? [];
  const needs = [...relayNeeds(relay), ...policies.flatMap(({ policy }) => policyNeeds(policy))];
  const data = (use: string, name: string): SecretData =>
    new Map(
      (use === 'users' ? ['demo', 'shop_1'] : ['username', 'password', 'ca.crt', 'tls.crt', 'tls.key']).map(key => [
        key,
        Buffer.from(`${secretMarker} ${name} ${key}`),
      ]),
    );
  return {
    relay,
    policies,
    namespaces: new Map(),
    secrets: new Map(needs.map(({ use, namespace, name }) => [`${namespace}/${name}`, data(use, name)])),
    blocked: false,
    certificate: offersTls(relay) ? { certificate: 'certificate\n', privateKey: `${secretMarker} tls.key` } : undefined,
    material: { revisionKey: 'revision-key', authorities: relay.spec.tls.type === 'SelfSigned' ? ['authority\n'] : [] },
    existing: noExisting,
    kinds: { certManager: true, podMonitor: true, prometheusRule: true },
    drainOver: false,
    ...changes,
  };
}

export function desiredOf(relay: MailRelay, changes: Partial<RelayInput> = {}): Desired {
  return desiredRelay(inputOf(relay, changes), options);
}

export function find({ objects }: Pick<Desired, 'objects'>, kind: string, name?: string): DesiredObject | undefined {
  return objects.find(object => object.kind === kind && (name === undefined || object.metadata.name === name));
}

/** What is below a path of field names and indices; undefined where there is nothing. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (below, step) => (typeof below === 'object' && below !== null ? Reflect.get(below, step) : undefined),
    value,
  );
}

/** All files of the Secrets, by name. */
export function filesOf({ objects }: Pick<Desired, 'objects'>): Map<string, Buffer> {
  const secrets = objects.filter(({ kind, metadata }) => kind === 'Secret' && /-files-[0-9]$/.test(metadata.name));
  return new Map(
    secrets.flatMap(({ data }) =>
      Object.entries(data ?? {}).map(([name, text]) => [name, Buffer.from(text, 'base64')]),
    ),
  );
}

export function pod(name: string, changes: Partial<ObservedPod> = {}): ObservedPod {
  return {
    name,
    uid: `uid-of-${name}`,
    ready: true,
    terminating: false,
    labels: { 'postroad.dev/serving': 'true' },
    annotations: {},
    report: undefined,
    nudged: { revision: undefined, times: 0 },
    storeTroubles: [],
    ...changes,
  };
}
