import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import type { ClusterChange } from '../../../operator/cluster/change.ts';
import { domainPolicies, mailRelays } from '../../../operator/cluster/kinds.ts';
import { createAdmissions } from '../../../operator/domainpolicy/admissions.ts';
import { nameOf } from '../../../operator/domainpolicy/attach.ts';
import { domainPolicy, mailRelay } from '../builders.ts';
import { MemoryCluster } from '../mailrelay/memory-cluster.ts';

/** Counts how often all policies of a relay are asked for. */
class CountingCluster extends MemoryCluster {
  asks = 0;

  override policiesNaming(relayKey: string): ReturnType<MemoryCluster['policiesNaming']> {
    this.asks += 1;
    return super.policiesNaming(relayKey);
  }
}

const open = { policies: { namespaces: { from: 'All' } } };
const policyOf = (name: string, domains: readonly string[]) => domainPolicy({ domains: [...domains] }, { name });

function setUp(): CountingCluster {
  const cluster = new CountingCluster();
  cluster.put(mailRelays, mailRelay(open));
  return cluster;
}

test('2,000 policies of one relay cost one comparison of them all', t => {
  const cluster = setUp();
  const keys = Array.from({ length: 2000 }, (_, index) => {
    const policy = policyOf(`p${index}`, [`d${index}.example.com`]);
    cluster.put(domainPolicies, policy);
    return nameOf(policy);
  });
  const admissions = createAdmissions(cluster);
  const startMs = performance.now();
  for (const key of keys) assert.equal(admissions.verdictOn(key).status, 'True');
  t.diagnostic(`${Math.round(performance.now() - startMs)} ms`);
  assert.equal(cluster.asks, 1);
});

test('what decides on a verdict brings another one, and nothing else does', () => {
  const cluster = setUp();
  const [first, second] = [policyOf('a', ['x.example.com']), policyOf('b', ['x.example.com', 'y.example.com'])];
  cluster.put(domainPolicies, first);
  cluster.put(domainPolicies, second);
  const admissions = createAdmissions(cluster);
  const told = (change: object): void =>
    admissions.changed({ key: 'shop/a', isInitial: false, ...change } as unknown as ClusterChange);
  const reason = (): string => admissions.verdictOn('shop/b').reason;
  assert.equal(reason(), 'Conflicted');

  // A status, as often as it is written.
  const { asks } = cluster;
  told({ about: 'Policy', type: 'updated', object: { ...first, status: {} }, previous: first });
  told({ about: 'Managed', type: 'updated', object: first, previous: first });
  assert.equal(reason(), 'Conflicted');
  assert.equal(cluster.asks, asks);

  cluster.remove(domainPolicies, 'shop/a');
  told({ about: 'Policy', type: 'deleted', object: first, previous: first });
  assert.equal(reason(), 'Accepted');
  assert.throws(() => admissions.verdictOn('shop/a'), /no verdict on DomainPolicy shop\/a/);

  const own: MailRelay = mailRelay({ policies: { namespaces: { from: 'Same' } } }, { generation: 2 });
  cluster.put(mailRelays, own);
  told({ about: 'Relay', key: 'mail/outbound', type: 'updated', object: own, previous: mailRelay(open) });
  assert.equal(reason(), 'RelayNotFound');

  const selector = { matchLabels: { tier: 'gold' } };
  const choosing = mailRelay({ policies: { namespaces: { from: 'Selector', selector } } }, { generation: 3 });
  cluster.put(mailRelays, choosing);
  told({ about: 'Relay', key: 'mail/outbound', type: 'updated', object: choosing, previous: own });
  assert.equal(reason(), 'RelayNotFound');
  cluster.namespaces.set('shop', { tier: 'gold' });
  told({ about: 'Namespace', type: 'updated', object: { metadata: { name: 'shop' } } });
  assert.equal(reason(), 'Accepted');

  cluster.remove(mailRelays, 'mail/outbound');
  told({ about: 'Relay', key: 'mail/outbound', type: 'deleted', object: choosing, previous: choosing });
  assert.equal(reason(), 'RelayNotFound');
});
