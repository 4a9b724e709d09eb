import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { domainPolicies, mailRelays, secrets } from '../../../operator/cluster/kinds.ts';
import type { ControllerDeps } from '../../../operator/controller.ts';
import { dkimKeyOf, mintDkimKey } from '../../../operator/domainpolicy/dkim-key.ts';
import { createRingKeeper, type RingStep } from '../../../operator/domainpolicy/keep-ring.ts';
import { type RingKey, ringOf, ringSecret, ringSecretKey } from '../../../operator/domainpolicy/key-ring.ts';
import { policyStateOf } from '../../../operator/domainpolicy/observe.ts';
import { freshKey } from '../../../operator/domainpolicy/rotation.ts';
import { createApplier } from '../../../operator/kube/apply.ts';
import type { Happening } from '../../../operator/kube/events.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { fieldManager } from '../../../operator/labels.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { domainPolicy } from '../builders.ts';
import { KeptMetrics } from '../kube/fakes.ts';
import { MemoryCluster } from '../mailrelay/memory-cluster.ts';
import { storedRelay } from '../mailrelay/relay-input.ts';

const { signal } = new AbortController();
const unseen = { record: (): 'Unknown' => 'Unknown', loaded: false, signing: undefined } as const;

let cluster: MemoryCluster;
let clock: FakeClock;
let notes: string[];

beforeEach(() => {
  cluster = new MemoryCluster();
  clock = new FakeClock();
  notes = [];
});

function keeper() {
  const writer = { client: cluster.client, metrics: new KeptMetrics(), assertMayWrite: () => undefined };
  const deps = {
    ...{ cluster, clock, touchRelay: () => undefined },
    apply: createApplier({ ...writer, fieldManager }),
    events: { record: (_: unknown, { note }: Happening) => void notes.push(note), run: () => Promise.resolve() },
  };
  return createRingKeeper(deps as unknown as ControllerDeps);
}

function relayIn(namespace: string, name: string): MailRelay {
  const relay = storedRelay({}, { name, namespace, uid: `uid-of-${namespace}-${name}` });
  cluster.put(mailRelays, relay as KubeObject);
  return relay;
}

function policyAt(relay: MailRelay, status?: DomainPolicy['status']): DomainPolicy {
  const { name, namespace } = relay.metadata;
  const dkim = { type: 'Managed', managed: { algorithms: ['Ed25519'] } };
  const made = domainPolicy({ relayRef: { name, namespace }, dkim, domains: ['shop.example'] });
  const policy = { ...made, ...(status !== undefined && { status }) } as DomainPolicy;
  cluster.put(domainPolicies, policy as KubeObject);
  return policy;
}

async function freshRing(): Promise<RingKey> {
  const key = dkimKeyOf(await mintDkimKey('Ed25519'));
  const places = [{ domain: 'shop.example', state: 'Signs' as const, askedMs: clock.now() }];
  const fresh = freshKey(key, { domains: [], request: undefined, nowMs: clock.now() });
  return { ...fresh, state: 'Active', places, signedMs: clock.now() };
}

/** As whoever may write Secrets in the namespace of a relay can make one: labels, owner and all. */
function plant(relay: MailRelay, policy: DomainPolicy, key: RingKey): string {
  cluster.put(secrets, ringSecret(relay, policy, [key]) as KubeObject);
  return ringSecretKey(relay, policy);
}

function told({ selector, recordValue }: RingKey): DomainPolicy['status'] {
  const name = `${selector}._domainkey.shop.example`;
  return { dnsRecords: [{ name, type: 'TXT', purpose: 'DKIM', value: recordValue, state: 'Published' }] };
}

const storedIn = (home: string): string[] =>
  ringOf(cluster.at(secrets, home)).map(({ selector, places }) => `${selector} ${places[0]?.state}`);
const step = (relay: MailRelay, policy: DomainPolicy): Promise<RingStep> =>
  keeper().step({ relay, policy, signal, sight: () => unseen });
const selectors = ({ ring }: RingStep): string[] => ring.map(({ selector }) => selector);

describe('a ring of keys that somebody else made', () => {
  it('is not taken over by a policy that comes to its first relay, although it has all the labels and a relay that owns it', async () => {
    const attackers = relayIn('evil', 'outbound');
    const relay = relayIn('mail', 'outbound');
    const policy = policyAt(relay);
    const planted = await freshRing();
    plant(attackers, policy, planted);
    const after = await step(relay, policy);
    assert.equal(after.ring.length, 1);
    assert.ok(!selectors(after).includes(planted.selector), 'the key of a stranger is asked to be published');
  });

  it('that claims the public key that was told, but has not its private one, is not taken over', async () => {
    const [attackers, relay] = [relayIn('evil', 'outbound'), relayIn('mail', 'outbound')];
    const [real, planted] = [await freshRing(), await freshRing()];
    const policy = policyAt(relay, told(real));
    plant(attackers, policy, { ...planted, selector: real.selector, recordValue: real.recordValue });
    const after = await step(relay, policy);
    assert.ok(!after.ring.some(({ privateKeyPem }) => privateKeyPem === planted.privateKeyPem));
  });

  it('that nobody can read does not stop the policy', async () => {
    const relay = relayIn('mail', 'outbound');
    const policy = policyAt(relay, told(await freshRing()));
    const made = ringSecret(relayIn('evil', 'outbound'), policy, []);
    for (const [index, broken] of [{}, { 'keys.json': Buffer.from('{').toString('base64') }].entries()) {
      const name = `${made.metadata.name}${index}`;
      cluster.put(secrets, { ...made, metadata: { ...made.metadata, name }, data: broken } as unknown as KubeObject);
    }
    assert.equal((await step(relay, policy)).ring.length, 1);
  });

  it("is not deleted with the policy that it names, unless it is a relay's", async () => {
    const [from, relay] = [relayIn('mail', 'from'), relayIn('mail', 'outbound')];
    const policy = policyAt(relay);
    const [backup, real] = [ringSecret(from, policy, []), plant(from, policy, await freshRing())];
    const copy = { ...backup.metadata, namespace: 'backups', name: 'copy' };
    cluster.put(secrets, { ...backup, metadata: copy } as KubeObject);
    cluster.remove(domainPolicies, 'shop/shop');
    await keeper().sweep('shop/shop', undefined, signal);
    assert.equal(cluster.at(secrets, real), undefined);
    assert.ok(cluster.at(secrets, 'backups/copy') !== undefined, "a Secret that is no relay's was deleted");
  });
});

describe('first keys', () => {
  it('are told of where mail stays unsigned for days whatever is published, and only there', async () => {
    const relay = relayIn('mail', 'outbound');
    await step(relay, policyAt(relay));
    assert.equal(notes.length, 0);
    const { spec } = policyAt(relay);
    const named = {
      ...domainPolicy({}, { name: 'unseen' }),
      spec: { ...spec, dns: { ...spec.dns, checks: 'Disabled' } },
    };
    await step(relay, named as DomainPolicy);
    assert.equal(notes.length, 1);
    const from = new Date(Math.ceil((clock.now() + 7 * 86_400_000) / 60_000) * 60_000).toISOString().slice(0, 16);
    assert.ok(
      notes.some(note => note.endsWith(`the key signs from ${from}Z on.`)),
      notes.join(),
    );
  });
});

describe('keys of the relay before', () => {
  it('that the policy has told of go with it', async () => {
    const [from, relay] = [relayIn('mail', 'from'), relayIn('mail', 'outbound')];
    const real = await freshRing();
    const policy = policyAt(relay, told(real));
    plant(from, policy, real);
    const after = await step(relay, policy);
    assert.deepEqual(selectors(after), [real.selector]);
    assert.equal(after.ring[0]?.state, 'Active', 'no mail is unsigned meanwhile');
  });
});

describe('a Secret of somebody else under the name of a ring', () => {
  it('is neither written over nor signed with', async () => {
    const relay = relayIn('mail', 'outbound');
    const policy = policyAt(relay);
    const made = ringSecret(relay, policy, [await freshRing()]);
    for (const labels of [made.metadata.labels, {}]) {
      const { ownerReferences: _, ...metadata } = made.metadata;
      cluster.put(secrets, { ...made, metadata: { ...metadata, labels } } as KubeObject);
      cluster.asked.length = 0;
      assert.deepEqual((await step(relay, policy)).ring, []);
      assert.deepEqual(cluster.writes, []);
      const admission = { type: 'Accepted', status: 'True', reason: 'Accepted', message: '' } as const;
      assert.deepEqual((await policyStateOf({ relay, policy, admission }, cluster, signal)).keys, []);
    }
  });

  for (const labelled of [true, false])
    it(`${labelled ? 'with' : 'without'} its labels does not cost the keys that are kept with the relay before`, async () => {
      const [from, relay] = [relayIn('mail', 'from'), relayIn('mail', 'outbound')];
      const real = await freshRing();
      const policy = policyAt(relay, told(real));
      const home = plant(from, policy, real);
      const made = ringSecret(relay, policy, [await freshRing()]);
      const { ownerReferences: _, labels, ...metadata } = made.metadata;
      const theirs = { ...made, metadata: { ...metadata, labels: labelled ? labels : {} } };
      cluster.put(secrets, theirs as KubeObject);
      const first = await step(relay, policy);
      assert.deepEqual(selectors(first), [real.selector]);
      assert.equal(first.taken, ringSecretKey(relay, policy));
      if (first.keptAt !== undefined) await keeper().sweep('shop/shop', first.keptAt, signal);
      assert.deepEqual(storedIn(home), [`${real.selector} Signs`]);
      assert.deepEqual(cluster.writes, [], 'nothing was to be done');
      const admission = { type: 'Accepted', status: 'True', reason: 'Accepted', message: '' } as const;
      const loaded = async () => (await policyStateOf({ relay, policy, admission }, cluster, signal)).keys;
      assert.deepEqual((await loaded())[0]?.signsFor, undefined, 'its pods sign by it');
      const gone = { record: (): 'No' => 'No', loaded: true, signing: true } as const;
      await keeper().step({ relay, policy, signal, sight: () => gone });
      assert.deepEqual(storedIn(home), [`${real.selector} Awaited`]);
      assert.deepEqual(
        (await loaded()).flatMap(({ signsFor }) => signsFor),
        [],
        'they stop',
      );
      cluster.remove(secrets, ringSecretKey(relay, policy));
      const after = await step(relay, policy);
      assert.deepEqual([selectors(after), after.taken], [[real.selector], undefined]);
      await keeper().sweep('shop/shop', after.keptAt, signal);
      assert.equal(cluster.at(secrets, home), undefined, 'it is kept here now');
    });

  it('that no watch has shown yet is neither written over nor signed with', async () => {
    const relay = relayIn('mail', 'outbound');
    const policy = policyAt(relay);
    const { ownerReferences: _, ...metadata } = ringSecret(relay, policy, []).metadata;
    const theirs = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { ...metadata, labels: {} },
      data: { theirs: 'YQ==' },
    };
    cluster.put(secrets, theirs);
    const before = cluster.at(secrets, ringSecretKey(relay, policy));
    cluster.hasSecret = () => false;
    assert.deepEqual((await step(relay, policy)).ring, []);
    assert.deepEqual(cluster.at(secrets, ringSecretKey(relay, policy)), before);
  });

  it("that is the relay's own and that no watch has shown yet keeps its keys", async () => {
    const relay = relayIn('mail', 'outbound');
    const policy = policyAt(relay);
    const real = await freshRing();
    plant(relay, policy, real);
    cluster.hasSecret = () => false;
    cluster.managed = () => undefined;
    assert.deepEqual(selectors(await step(relay, policy)), [real.selector]);
    assert.deepEqual(
      ringOf(cluster.at(secrets, ringSecretKey(relay, policy))).map(({ selector }) => selector),
      [real.selector],
    );
  });

  it("that is the relay's own and has lost its labels is found again, with its keys", async () => {
    const relay = relayIn('mail', 'outbound');
    const policy = policyAt(relay);
    const real = await freshRing();
    const made = ringSecret(relay, policy, [real]);
    const metadata = { ...made.metadata, labels: {} };
    cluster.put(secrets, { ...made, metadata } as KubeObject);
    assert.deepEqual(selectors(await step(relay, policy)), [real.selector]);
    const kept = cluster.managed(secrets, ringSecretKey(relay, policy));
    assert.deepEqual(
      ringOf(kept).map(({ selector }) => selector),
      [real.selector],
    );
  });
});
