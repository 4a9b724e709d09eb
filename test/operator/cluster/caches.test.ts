import assert from 'node:assert/strict';
import { test } from 'node:test';
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
import type { KubeObject } from '../../../operator/kube/object.ts';
import { ownFields } from '../../../operator/kube/transform.ts';
import { fieldManager, policyNameLabel, policyNamespaceLabel } from '../../../operator/labels.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { domainPolicy } from '../builders.ts';
import { managedObject, plain, relay, start, withoutOptional } from './caches-world.ts';

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
