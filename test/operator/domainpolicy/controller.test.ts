import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterChange } from '../../../operator/cluster/change.ts';
import { domainPolicies, mailRelays, secrets } from '../../../operator/cluster/kinds.ts';
import { policiesConcerned } from '../../../operator/domainpolicy/controller.ts';
import { ringSecret } from '../../../operator/domainpolicy/key-ring.ts';
import { domainPolicy, mailRelay } from '../builders.ts';
import { MemoryCluster } from '../mailrelay/memory-cluster.ts';
import { storedRelay } from '../mailrelay/relay-input.ts';

const cluster = new MemoryCluster();
const relayRef = (name: string) => ({ relayRef: { name, namespace: 'mail' } });
const policyOf = (name: string, domains: readonly string[], spec = {}, metadata = {}) =>
  domainPolicy({ domains: [...domains], ...spec }, { name, generation: 1, uid: name, ...metadata });
const chosen = { policies: { namespaces: { from: 'Selector', selector: {} } } };
for (const relay of [mailRelay(), mailRelay(chosen, { name: 'chosen' })]) cluster.put(mailRelays, relay);
const first = policyOf('first', ['x.example.com']);
const all = [
  first,
  policyOf('second', ['x.example.com', 'y.example.com']),
  policyOf('third', ['y.example.com']),
  policyOf('neighbour', ['z.example.com']),
  policyOf('elsewhere', ['x.example.com'], relayRef('other')),
  policyOf('picked', ['x.example.com'], { ...relayRef('chosen'), dns: { publish: 'ExternalDNS' } }),
];
for (const policy of all) cluster.put(domainPolicies, policy);

function concerned(change: object): string[] {
  const whole = { isInitial: false, type: 'updated', key: 'shop/first', ...change } as unknown as ClusterChange;
  return policiesConcerned(whole, cluster).sort();
}

test('a status concerns its policy alone, a spec also those whose verdict may hang on it, however far', () => {
  const withStatus = { ...first, status: { conditions: [] } };
  const edited = policyOf('first', ['w.example.com'], {}, { generation: 2 });
  assert.deepEqual(concerned({ about: 'Policy', object: withStatus, previous: first }), ['shop/first']);
  const chain = ['shop/first', 'shop/second', 'shop/third'];
  assert.deepEqual(concerned({ about: 'Policy', object: edited, previous: first }), chain);
  assert.deepEqual(concerned({ about: 'Policy', type: 'deleted', object: first, previous: first }), chain);
  assert.deepEqual(concerned({ about: 'Policy', type: 'added', object: first, isInitial: true }), ['shop/first']);
});

test('a policy that goes to another relay concerns those that share its domains, at both', () => {
  const moved = policyOf('first', ['x.example.com'], relayRef('other'), { generation: 2 });
  const wanted = ['shop/elsewhere', 'shop/first', 'shop/second', 'shop/third'];
  assert.deepEqual(concerned({ about: 'Policy', object: moved, previous: first }), wanted);
});

test('a relay concerns those that name it when it comes, goes or asks for something else', () => {
  const relay = storedRelay({}, { generation: 1 });
  const naming = ['shop/first', 'shop/neighbour', 'shop/second', 'shop/third'];
  const of = (change: object): string[] => concerned({ about: 'Relay', key: 'mail/outbound', ...change });
  assert.deepEqual(of({ type: 'added', object: relay }), naming);
  assert.deepEqual(of({ object: { ...relay, status: {} }, previous: relay }), []);
  assert.deepEqual(of({ object: storedRelay({}, { generation: 2 }), previous: relay }), naming);
  assert.deepEqual(of({ type: 'deleted', object: relay, previous: relay }), naming);
});

test('a namespace concerns those at relays that choose by labels', () => {
  assert.deepEqual(concerned({ about: 'Namespace', key: 'shop' }), ['shop/picked']);
});

test('a Secret concerns the policy whose keys it holds, or that refers to it; a pod none', () => {
  const object = ringSecret(storedRelay(), first, []);
  assert.deepEqual(concerned({ about: 'Managed', resource: secrets, object }), ['shop/first']);
  const unlabelled = { ...object, metadata: { ...object.metadata, labels: {} } };
  assert.deepEqual(concerned({ about: 'Managed', resource: secrets, object: unlabelled }), []);
  assert.deepEqual(concerned({ about: 'UserSecret', policies: ['shop/third'] }), ['shop/third']);
  assert.deepEqual([...concerned({ about: 'Pod' }), ...concerned({ about: 'Claim' })], []);
});

test('a kind of others that comes or goes concerns those that publish through it', () => {
  assert.deepEqual(concerned({ about: 'Kinds' }), ['shop/picked']);
});
