import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Caches, createCaches } from '../../../operator/cluster/caches.ts';
import type { ClusterChange } from '../../../operator/cluster/change.ts';
import {
  domainPolicies,
  mailRelays,
  managedKinds,
  namespaces,
  optionalKinds,
  persistentVolumeClaims,
  pods,
  secrets,
} from '../../../operator/cluster/kinds.ts';
import { createClient } from '../../../operator/kube/client.ts';
import type { KubeObject, Resource } from '../../../operator/kube/object.ts';
import { ownFields } from '../../../operator/kube/transform.ts';
import { fieldManager, objectLabels, policyNameLabel, policyNamespaceLabel } from '../../../operator/labels.ts';
import { systemClock } from '../../../relay/clock.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { domainPolicy, mailRelay } from '../builders.ts';
import { KeptMetrics, quiet } from '../kube/fakes.ts';
import { startStubApiServer } from '../kube/stub-api-server.ts';
import { StubCluster } from './stub-cluster.ts';

const { signal: never } = new AbortController();
const relay = mailRelay({ clients: { usersSecretRef: { name: 'users' } } });
const optional = Object.values(optionalKinds).map(({ plural }) => plural);

function managedObject({ apiVersion, kind }: Resource, name: string, labels: object = {}): KubeObject {
  return { apiVersion, kind, metadata: { name, namespace: 'mail', labels: { ...objectLabels(relay), ...labels } } };
}

function plain(resource: Resource, name: string, metadata: object = {}): KubeObject {
  return { apiVersion: resource.apiVersion, kind: resource.kind, metadata: { name, ...metadata } };
}

interface World {
  readonly stub: StubCluster;
  readonly caches: Caches;
  readonly changes: ClusterChange[];
  readonly metrics: KeptMetrics;
}

async function start(
  t: TestContext,
  fill: (stub: StubCluster) => void,
  relayNamespaces?: readonly string[],
): Promise<World> {
  const stub = new StubCluster();
  fill(stub);
  const api = await startStubApiServer(stub.script);
  const metrics = new KeptMetrics();
  const client = createClient({ connection: api.connection, clock: systemClock, metrics });
  // Waits are cut short: what happens after them is what is asked here.
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 50), signal),
  };
  const caches = createCaches({ client, clock, random: Math.random, log: quiet, metrics, relayNamespaces });
  const changes: ClusterChange[] = [];
  caches.onChange(change => changes.push(change));
  const stopping = new AbortController();
  const running = caches.run(stopping.signal);
  t.after(async () => {
    stopping.abort();
    await running;
    client.close();
    await api[Symbol.asyncDispose]();
  });
  await caches.whenSynced(never);
  return { stub, caches, changes, metrics };
}

function withoutOptional(stub: StubCluster): void {
  for (const plural of optional) stub.unknown.add(plural);
}

test('a relay is found with all that is its own, and with the policies that name it', async t => {
  const { caches, stub } = await start(t, api => {
    api.put(mailRelays, relay);
    api.put(domainPolicies, domainPolicy());
    api.put(domainPolicies, domainPolicy({ relayRef: { name: 'other', namespace: 'mail' } }, { name: 'elsewhere' }));
    api.put(domainPolicies, domainPolicy({ relayRef: { name: 'outbound' } }, { name: 'same', namespace: 'mail' }));
    for (const resource of managedKinds) api.put(resource, managedObject(resource, 'outbound-x'));
    const ofPolicy = { [policyNamespaceLabel]: 'shop', [policyNameLabel]: 'shop' };
    api.put(secrets, managedObject(secrets, 'outbound-dkim-1', ofPolicy));
    api.put(pods, managedObject(pods, 'outbound-relay-0'));
  });
  const { cluster } = caches;
  assert.equal(cluster.relay('mail/outbound')?.spec.hostname, relay.spec.hostname);
  const naming = cluster.policiesNaming('mail/outbound').map(({ metadata }) => metadata.name);
  assert.deepEqual(naming, ['shop', 'same']);
  for (const resource of managedKinds) {
    assert.equal(cluster.managed(resource, 'mail/outbound-x')?.kind, resource.kind);
    assert.ok(cluster.managedOf(resource, 'mail/outbound').length > 0, resource.kind);
    assert.deepEqual(cluster.managedOf(resource, 'mail/other'), []);
    assert.ok(stub.selections.has(`${resource.plural} app.kubernetes.io/managed-by=postroad-operator`), resource.kind);
  }
  assert.deepEqual(
    cluster.podsOf('mail/outbound').map(({ metadata }) => metadata.name),
    ['outbound-relay-0'],
  );
  assert.deepEqual(
    cluster.keySecretsOf('shop/shop').map(({ metadata }) => metadata.name),
    ['outbound-dkim-1'],
  );
});

test('changes are told by what they are about, and the caches already show them', async t => {
  const { caches, stub, changes } = await start(t, api => {
    api.put(mailRelays, relay);
    api.put(namespaces, plain(namespaces, 'mail', { labels: { team: 'mail' } }));
  });
  assert.ok(changes.every(({ isInitial, about }) => isInitial || about === 'Kinds'));
  assert.deepEqual(caches.cluster.namespaces.get('mail'), { team: 'mail' });
  changes.length = 0;
  const seen: unknown[] = [];
  caches.onChange(change => seen.push(change.about === 'Namespace' && caches.cluster.namespaces.get('mail')));
  await waitUntil('watches', () => stub.watching('namespaces') && stub.watching('secrets'));
  stub.put(namespaces, plain(namespaces, 'mail', { labels: { team: 'post' } }));
  await waitUntil('the change', () => changes.length > 0);
  assert.deepEqual(seen, [{ team: 'post' }]);
  stub.put(secrets, plain(secrets, 'users', { namespace: 'mail' }));
  const change = await waitUntil('the Secret', () => changes.find(({ about }) => about === 'UserSecret'));
  const told = { about: 'UserSecret', key: 'mail/users', relays: ['mail/outbound'], policies: [], isInitial: false };
  assert.deepEqual(change, told);
});

test('of pods and claims, which anybody may give our labels, only what is read is kept', async t => {
  const { caches } = await start(t, api => {
    api.put(mailRelays, relay);
    for (const resource of [pods, persistentVolumeClaims]) {
      const object = managedObject(resource, 'outbound-relay-0', { 'postroad.dev/serving': 'true', theirs: 'x' });
      const annotations = { 'postroad.dev/nudges': '1', theirs: 'x'.repeat(200_000) };
      const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'outbound-relay', uid: '1', controller: true };
      const ownerReferences = [{ ...owner, controller: false, uid: '2' }, owner];
      const finalizers = ['example.com/theirs'];
      api.put(resource, { ...object, metadata: { ...object.metadata, annotations, ownerReferences, finalizers } });
    }
  });
  const { cluster } = caches;
  for (const [kept] of [cluster.podsOf('mail/outbound'), cluster.claimsOf('mail/outbound')]) {
    assert.ok(kept !== undefined);
    const { resourceVersion: _, uid: __, ...metadata } = kept.metadata;
    assert.deepEqual(metadata, {
      name: 'outbound-relay-0',
      namespace: 'mail',
      labels: { 'app.kubernetes.io/instance': 'outbound', 'postroad.dev/serving': 'true' },
      annotations: { 'postroad.dev/nudges': '1' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'outbound-relay', uid: '1', controller: true },
      ],
    });
    assert.ok(JSON.stringify(kept).length < 1000);
  }
});

test('of how containers ended, a relay’s code and its last word are kept, where they can be its own', async t => {
  const container = (name: string, terminated: object): object => ({
    ...{ name, image: 'x'.repeat(200_000), imageID: '', ready: false, restartCount: 0 },
    ...{ lastState: { terminated }, state: { terminated: { ...terminated, reason: 'Completed' } } },
  });
  const word = { exitCode: 0, message: '{"queue":"Empty"}' };
  const put: Readonly<Record<string, object[]>> = {
    'outbound-relay-0': [container('sidecar', word), container('relay', word)],
    'outbound-relay-1': [container('relay', { exitCode: 0, message: 'x'.repeat(4096) })],
    'outbound-relay-2': [{ ...container('relay', word), state: { running: {} } }],
  };
  const { caches } = await start(t, api => {
    api.put(mailRelays, relay);
    for (const [name, containerStatuses] of Object.entries(put)) {
      api.put(pods, { ...managedObject(pods, name), status: { phase: 'Succeeded', containerStatuses } } as KubeObject);
    }
  });
  const kept = caches.cluster
    .podsOf('mail/outbound')
    .map(pod => [pod.metadata.name, (pod as { status?: object }).status]);
  const status = { phase: 'Succeeded', conditions: [] };
  assert.deepEqual(Object.fromEntries(kept), {
    'outbound-relay-0': { ...status, containerStatuses: [{ name: 'relay', state: { terminated: word } }] },
    'outbound-relay-1': status,
    'outbound-relay-2': status,
  });
});

const owner = { apiVersion: 'postroad.dev/v1alpha1', kind: 'MailRelay', name: 'outbound', controller: true };

function keysOf(uid: string, content: string): KubeObject {
  const object = managedObject(secrets, 'outbound-relay-keys');
  const metadata = { ...object.metadata, uid: '7', ownerReferences: [{ ...owner, uid }] };
  return { ...object, metadata, data: { key: content } } as KubeObject;
}

const contentOf = (caches: Caches): unknown => {
  const kept = caches.cluster.managed(secrets, 'mail/outbound-relay-keys') as { data?: { key?: unknown } } | undefined;
  return kept === undefined ? 'not seen' : kept.data?.key;
};

test('content is kept of what belongs to a relay that is known, and of all else that carries our labels the name', async t => {
  const long = 'x'.repeat(200_000);
  const { caches } = await start(t, api => {
    api.put(mailRelays, { ...relay, metadata: { ...relay.metadata, uid: 'known' } });
    api.put(secrets, keysOf('known', long));
    for (const [namespace, uid] of [
      ['mail', 'unknown'],
      ['elsewhere', 'known'],
    ] as const) {
      const { metadata, ...rest } = keysOf(uid, long);
      api.put(secrets, { ...rest, metadata: { ...metadata, namespace, name: 'stray', annotations: { a: long } } });
    }
  });
  assert.equal(contentOf(caches), long);
  for (const key of ['mail/stray', 'elsewhere/stray']) {
    const stray = caches.cluster.managed(secrets, key);
    assert.ok(stray !== undefined, 'its name is taken');
    assert.ok(JSON.stringify(stray).length < 1000);
  }
});

test('what is seen before its relay is never taken for empty: reading it fails until it has been read again', async t => {
  const { caches, stub, changes } = await start(t, api => api.put(secrets, keysOf('late', 'mine')));
  await waitUntil('watches', () => stub.watching('mailrelays') && stub.watching('secrets'));
  assert.equal(contentOf(caches), undefined);
  const seen: unknown[] = [];
  caches.onChange(({ about }) => {
    if (about !== 'Relay') return;
    try {
      seen.push(contentOf(caches));
    } catch (error) {
      seen.push(error instanceof Error ? error.message : error);
    }
  });
  stub.failGets = 2;
  stub.put(mailRelays, { ...relay, metadata: { ...relay.metadata, uid: 'late' } });
  await waitUntil('the change', () => seen.length > 0);
  assert.deepEqual(seen, ['Secret mail/outbound-relay-keys has not been read yet']);
  await waitUntil('its content', () => {
    try {
      return contentOf(caches) === 'mine';
    } catch {
      return false;
    }
  });
  assert.equal(stub.failGets, 0);
  assert.equal(changes.at(-1)?.about, 'Managed', 'the relay is looked at once more');
});

test('everything that is there can be told again, as of a first list', async t => {
  const { caches } = await start(t, api => {
    api.put(mailRelays, relay);
    api.put(domainPolicies, domainPolicy());
    api.put(pods, managedObject(pods, 'outbound-relay-0'));
    for (const resource of managedKinds) api.put(resource, managedObject(resource, 'outbound-x'));
  });
  const told: ClusterChange[] = [];
  caches.replay(change => told.push(change));
  assert.ok(told.every(({ isInitial }) => isInitial));
  const counts = Map.groupBy(told, ({ about }) => about);
  assert.equal(counts.get('Relay')?.length, 1);
  assert.equal(counts.get('Policy')?.length, 1);
  assert.equal(counts.get('Pod')?.length, 1);
  assert.equal(counts.get('Managed')?.length, managedKinds.length);
});

test('kinds of others: absent they are no failure; they may come and go', async t => {
  const { caches, stub, changes, metrics } = await start(t, withoutOptional);
  const none = { certManager: false, podMonitor: false, prometheusRule: false, dnsEndpoint: false };
  assert.deepEqual({ ...caches.cluster.kinds }, none);
  const failures = { kind: 'Certificate', fault: '404' };
  assert.equal(metrics.get('postroad_operator_watch_failures_total', failures), 0);
  stub.put(optionalKinds.certManager, managedObject(optionalKinds.certManager, 'outbound-relay'));
  stub.unknown.delete('certificates');
  await waitUntil('the kind', () => caches.cluster.kinds.certManager);
  await waitUntil('its object', () => caches.cluster.managed(optionalKinds.certManager, 'mail/outbound-relay'));
  assert.ok(changes.some(({ about }) => about === 'Kinds'));
  await waitUntil('a watch', () => stub.watching('certificates'));
  stub.forgetKind('certificates');
  await waitUntil('its end', () => !caches.cluster.kinds.certManager);
  assert.equal(caches.cluster.managed(optionalKinds.certManager, 'mail/outbound-relay'), undefined);
});

test('confined, only policies and namespaces are asked for everywhere, and namespaces look like one', async t => {
  const other = { ...relay, metadata: { ...relay.metadata, namespace: 'post' } };
  const foreign = { ...relay, metadata: { ...relay.metadata, namespace: 'foreign' } };
  const { caches, stub, metrics } = await start(
    t,
    api => {
      for (const object of [relay, other, foreign]) api.put(mailRelays, object);
      api.put(domainPolicies, domainPolicy());
    },
    ['mail', 'post'],
  );
  const keys = [...caches.cluster.relays()].map(({ metadata }) => metadata.namespace);
  assert.deepEqual(keys, ['mail', 'post']);
  assert.equal(caches.cluster.relay('foreign/outbound'), undefined);
  assert.equal(metrics.get('postroad_operator_cached_objects', { kind: 'MailRelay' }), 2);
  const everywhere = stub.lists.filter(path => !path.includes('/namespaces/'));
  assert.deepEqual(everywhere.sort(), ['/api/v1/namespaces', '/apis/postroad.dev/v1alpha1/domainpolicies']);
});

test('of each object stays what is read to decide, and which fields are ours', async t => {
  const managedFields = [
    { manager: fieldManager, operation: 'Apply', fieldsV1: { 'f:spec': {} } },
    { manager: 'kubectl', operation: 'Update', fieldsV1: { 'f:metadata': {} } },
  ];
  const [network, workload] = ['NetworkPolicy', 'StatefulSet'].map(kind =>
    managedKinds.find(resource => resource.kind === kind),
  );
  assert.ok(network !== undefined && workload !== undefined);
  const { caches } = await start(t, api => {
    const object = managedObject(network, 'outbound-relay');
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': 'long', kept: 'yes' };
    api.put(network, {
      ...object,
      metadata: { ...object.metadata, managedFields, annotations },
      ...{ spec: { a: 1 } },
    });
    const template = { spec: { volumes: [{ name: 'config' }], containers: [{ name: 'relay' }] } };
    const spec = { replicas: 2, template, serviceName: 'x', volumeClaimTemplates: [] };
    api.put(workload, { ...managedObject(workload, 'outbound-relay'), ...{ spec, status: { readyReplicas: 1 } } });
  });
  const kept = caches.cluster.managed(network, 'mail/outbound-relay');
  assert.ok(kept !== undefined);
  assert.deepEqual(Object.keys(kept), ['apiVersion', 'kind', 'metadata']);
  assert.deepEqual(kept.metadata.annotations, { kept: 'yes' });
  assert.equal(kept.metadata.managedFields, undefined);
  assert.deepEqual(ownFields(kept, fieldManager, ''), { 'f:spec': {} });
  const { spec, status } = caches.cluster.managed(workload, 'mail/outbound-relay') as KubeObject &
    Record<string, unknown>;
  assert.deepEqual(spec, {
    replicas: 2,
    volumeClaimTemplates: [],
    template: { spec: { volumes: [{ name: 'config' }] } },
  });
  assert.deepEqual(status, { readyReplicas: 1 });
});
