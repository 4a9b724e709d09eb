import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterChange } from '../../../operator/cluster/change.ts';
import { domainPolicies, mailRelays, secrets } from '../../../operator/cluster/kinds.ts';
import { dkimKeyOf, mintDkimKey } from '../../../operator/domainpolicy/dkim-key.ts';
import { ringSecret } from '../../../operator/domainpolicy/key-ring.ts';
import { freshKey } from '../../../operator/domainpolicy/rotation.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { objectLabels } from '../../../operator/labels.ts';
import { relaysConcerned } from '../../../operator/mailrelay/changes.ts';
import { domainPolicy } from '../builders.ts';
import { MemoryCluster } from './memory-cluster.ts';
import { storedRelay } from './relay-input.ts';

const cluster = new MemoryCluster();
cluster.put(mailRelays, storedRelay());
cluster.put(
  mailRelays,
  storedRelay({ policies: { namespaces: { from: 'Selector', selector: {} } } }, { name: 'chosen' }),
);
cluster.put(mailRelays, storedRelay({}, { name: 'indirect' }));
cluster.put(
  domainPolicies,
  domainPolicy({
    relayRef: { name: 'indirect', namespace: 'mail' },
    senders: { namespaces: { from: 'Selector', selector: {} } },
  }),
);

function concerned(change: object): readonly string[] {
  return relaysConcerned({ isInitial: false, key: 'mail/outbound', ...change } as unknown as ClusterChange, cluster);
}

test('a relay concerns itself, but for a change of its status alone', () => {
  const object = storedRelay();
  const withStatus = { ...object, status: { replicas: 1 } };
  assert.deepEqual(concerned({ about: 'Relay', object, previous: undefined }), ['mail/outbound']);
  assert.deepEqual(concerned({ about: 'Relay', type: 'updated', object: withStatus, previous: object }), []);
  for (const metadata of [
    { generation: 2 },
    { deletionTimestamp: '2026-01-01T00:00:00Z' },
    { annotations: { a: '1' } },
  ])
    assert.deepEqual(concerned({ about: 'Relay', object: storedRelay({}, metadata), previous: object }), [
      'mail/outbound',
    ]);
});

test('a policy concerns the relay it names, and the one that it named', () => {
  const object = { ...domainPolicy(), metadata: { ...domainPolicy().metadata, generation: 2 } };
  const previous = domainPolicy({ relayRef: { name: 'other', namespace: 'mail' } });
  assert.deepEqual(concerned({ about: 'Policy', object, previous }), ['mail/outbound', 'mail/other']);
});

test('what goes is as it was last, and yet a change', () => {
  const [relay, policy] = [storedRelay(), domainPolicy()];
  assert.deepEqual(concerned({ about: 'Policy', type: 'updated', object: policy, previous: policy }), []);
  assert.deepEqual(concerned({ about: 'Policy', type: 'deleted', object: policy, previous: policy }), [
    'mail/outbound',
  ]);
  assert.deepEqual(concerned({ about: 'Relay', type: 'deleted', object: relay, previous: relay }), ['mail/outbound']);
});

test('what is made for a relay concerns it, by its labels', () => {
  const metadata = { name: 'any', namespace: 'mail', labels: objectLabels(storedRelay()) };
  const object: KubeObject = { apiVersion: 'v1', kind: 'Secret', metadata };
  for (const about of ['Managed', 'Pod', 'Claim'])
    assert.deepEqual(concerned({ about, resource: secrets, object, previous: undefined }), ['mail/outbound']);
});

test('a step of DKIM keys concerns the relay only where it changes what pods load', async () => {
  const minted = dkimKeyOf(await mintDkimKey('Ed25519'));
  const key = freshKey(minted, { domains: [], request: undefined, nowMs: 0 });
  const pending = ringSecret(storedRelay(), domainPolicy(), [key]) as KubeObject;
  const published = ringSecret(storedRelay(), domainPolicy(), [{ ...key, state: 'Published' }]) as KubeObject;
  const change = { about: 'Managed', resource: secrets };
  assert.deepEqual(concerned({ ...change, type: 'added', object: pending, previous: undefined }), []);
  assert.deepEqual(concerned({ ...change, type: 'updated', object: published, previous: pending }), ['mail/outbound']);
  assert.deepEqual(concerned({ ...change, type: 'deleted', object: published, previous: published }), [
    'mail/outbound',
  ]);
  const broken = { ...pending, data: {} };
  assert.deepEqual(concerned({ ...change, type: 'updated', object: broken, previous: pending }), ['mail/outbound']);
});

test('labels of a namespace concern those who choose by labels, themselves or by a policy', () => {
  const namespace = (labels: object) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } });
  const change = { about: 'Namespace', object: namespace({ team: 'a' }), previous: namespace({}) };
  assert.deepEqual(concerned(change), ['mail/chosen', 'mail/indirect']);
  assert.deepEqual(concerned({ ...change, previous: change.object }), []);
});

test('a user’s Secret concerns who refers to it, and a kind that comes or goes every relay', () => {
  assert.deepEqual(concerned({ about: 'UserSecret', relays: ['mail/outbound'], policies: [] }), ['mail/outbound']);
  assert.deepEqual(concerned({ about: 'Kinds' }), ['mail/outbound', 'mail/chosen', 'mail/indirect']);
});
