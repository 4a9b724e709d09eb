/** The story: an owner's own DMARC record got ours beside it, and of two receivers use none. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import { optionalKinds } from '../../../operator/cluster/kinds.ts';
import type { Said } from '../../../operator/dns/txt.ts';
import { valueIn } from '../../../operator/domainpolicy/desired.ts';
import type { DnsRecord } from '../../../operator/domainpolicy/dns-record.ts';
import { publishRecords } from '../../../operator/domainpolicy/publish.ts';
import { checkRecord } from '../../../operator/domainpolicy/record-check.ts';
import { createApplier } from '../../../operator/kube/apply.ts';
import { fieldManager } from '../../../operator/labels.ts';
import { domainPolicy } from '../builders.ts';
import { KeptMetrics } from '../kube/fakes.ts';
import { MemoryCluster } from '../mailrelay/memory-cluster.ts';

const { signal } = new AbortController();
const records = [
  ['DKIM', 'k._domainkey.a.example', 'v=DKIM1; p=AAAA', 'v=DKIM1; p=BBBB'],
  ['DMARC', '_dmarc.a.example', 'v=DMARC1; p=quarantine', 'v=DMARC1; p=none'],
  ['SPF', 'a.example', 'v=spf1 a:mail.example ~all', 'v=spf1 ip4:192.0.2.1 -all'],
  ['TLSRPT', '_smtp._tls.a.example', 'v=TLSRPTv1; rua=mailto:t@a.example', 'v=TLSRPTv1; rua=mailto:o@a.example'],
  ['MTASTS', '_mta-sts.a.example', 'v=STSv1; id=1', 'v=STSv1; id=2'],
] as const;
let cluster: MemoryCluster;

beforeEach(() => {
  cluster = new MemoryCluster();
  cluster.namespaces.set('shop', { 'postroad.dev/publish-dns': 'Allowed' });
});

function policyOf(dns = {}, dkim: object = { type: 'Managed', managed: {} }): DomainPolicy {
  const made = domainPolicy({ dns: { publish: 'ExternalDNS', ...dns }, dkim });
  return { ...made, metadata: { ...made.metadata, uid: 'policy' } };
}

/** `there`: what the servers say of a name; `silent`: nothing. Returns what the DNSEndpoint says, without quotes. */
async function published(
  there: (record: (typeof records)[number]) => readonly string[] | 'silent',
  policy = policyOf(),
): Promise<Record<string, string | undefined>> {
  const checked = records.map(row => {
    const [purpose, name, value] = row;
    const texts = there(row);
    const said: Said =
      texts === 'silent'
        ? { kind: 'Silent', why: '' }
        : texts.length === 0
          ? { kind: 'Nothing' }
          : { kind: 'Texts', texts };
    const answer = { servers: [{ host: 'ns1', said }], problem: undefined };
    return checkRecord({ name, purpose, value, type: 'TXT' } satisfies DnsRecord, { answer, lookups: 1, broken: [] });
  });
  const writer = { client: cluster.client, metrics: new KeptMetrics(), assertMayWrite: () => undefined };
  const apply = createApplier({ ...writer, fieldManager });
  assert.equal(await publishRecords(policy, checked, { cluster, apply }, signal), undefined);
  const live = cluster.at(optionalKinds.dnsEndpoint, 'shop/shop-dns');
  return Object.fromEntries(records.map(([purpose, name]) => [purpose, valueIn(live, name)]));
}

const ours = Object.fromEntries(records.map(([purpose, , value]) => [purpose, value]));
const keyAlone = { ...Object.fromEntries(records.map(([purpose]) => [purpose, undefined])), DKIM: ours['DKIM'] };

test('what nobody has is published', async () => {
  assert.deepEqual(await published(() => []), ours);
});

test('beside a record of the owner nothing is, but the key at a name that we made up', async () => {
  assert.deepEqual(await published(([, , , theirs]) => [theirs]), keyAlone);
});

test('nor where the owner says the same in other words', async () => {
  const { DMARC } = await published(([, , value]) => [value.replace('; ', ' ;')]);
  assert.equal(DMARC, undefined);
});

test('nor at a name that has other texts, which external-dns would take for its own', async () => {
  assert.deepEqual(await published(() => ['site-verification=1']), keyAlone);
});

test('nor before it is known what is there', async () => {
  assert.deepEqual(await published(() => 'silent'), keyAlone);
});

test('a key whose selector the owner chose is not published over another one', async () => {
  const given = policyOf({}, { type: 'SecretRef', secretRef: { name: 'keys' } });
  assert.equal((await published(([, , , theirs]) => [theirs], given))['DKIM'], undefined);
  assert.equal((await published(() => [], given))['DKIM'], ours['DKIM']);
});

test('what was published stays while servers are silent, and is published again when the object was deleted', async () => {
  await published(() => []);
  assert.deepEqual(await published(() => 'silent'), ours);
  cluster.remove(optionalKinds.dnsEndpoint, 'shop/shop-dns');
  assert.deepEqual(await published(([, , value]) => [value]), ours);
});

test('what we published is changed while the servers still have it as it was', async () => {
  await published(() => []);
  const before = records.map(([, name]) => valueIn(cluster.at(optionalKinds.dnsEndpoint, 'shop/shop-dns'), name));
  assert.deepEqual(before, Object.values(ours));
  const stale = await published(([purpose, , value]) => [purpose === 'DMARC' ? 'v=DMARC1; p=none' : value]);
  assert.deepEqual(stale, ours);
});

test('ours is taken back where the owner has put a record beside it', async () => {
  await published(() => []);
  assert.deepEqual(await published(([, , value, theirs]) => [value, theirs]), keyAlone);
});

test('where nothing is left to publish, the object goes', async () => {
  const unsigned = policyOf({}, { type: 'SecretRef', secretRef: { name: 'keys' } });
  await published(() => [], unsigned);
  await published(([, , value, theirs]) => [value, theirs], unsigned);
  assert.equal(cluster.at(optionalKinds.dnsEndpoint, 'shop/shop-dns'), undefined);
});

test('without checks nobody looks, and all is published', async () => {
  assert.deepEqual(await published(() => 'silent', policyOf({ checks: 'Disabled' })), ours);
});
