import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { domainPolicies, optionalKinds } from '../../operator/cluster/kinds.ts';
import { listAll } from '../../operator/kube/list.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { waitUntil } from '../support/wait-until.ts';
import { never } from './api-world.ts';
import { installForeignCrds, installOwnCrds } from './install-crds.ts';
import { type PolicyWorld, startPolicyWorld } from './policy-world.ts';
import { published } from './published-records.ts';

let world: PolicyWorld;
const dayMs = 86_400_000;
const minuteMs = 60_000;

before(async () => {
  world = await startPolicyWorld(async api => {
    await installOwnCrds(api);
    await installForeignCrds(api);
  });
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

const relayRef = (name: string) => ({ relayRef: { name, namespace: 'mail' } });

/** In the order of their making. */
async function keysOf(policy: string): Promise<{ selector: string; state: string }[]> {
  const { dkim } = await world.status(policy);
  return [...(dkim?.keys ?? [])].sort((one, other) => ((one.createdTime ?? '') < (other.createdTime ?? '') ? -1 : 1));
}

/** Moves time on in small steps, so that what is due is looked at, until the keys are so. */
async function whenKeys(policy: string, states: string, stepMs = minuteMs): Promise<void> {
  let last = '';
  await waitUntil(
    `keys of ${policy} to be ${states}`,
    async () => {
      last = (await keysOf(policy)).map(({ state }) => state).join(' ');
      if (last === states) return true;
      world.clock.jump(stepMs);
      return false;
    },
    { limitMs: 30_000, everyMs: 250 },
  ).catch((error: unknown) => {
    throw new Error(`keys of ${policy} are ${last}`, { cause: error });
  });
}

/** The pods follow in a pass of their own. */
async function signsAlone(selector: string | undefined): Promise<void> {
  const last = (): string => world.signed.at(-1)?.selectors.join(' ') ?? '';
  await waitUntil(`${selector} to sign`, async () => last() === selector);
}

const events: Resource = { apiVersion: 'v1', kind: 'Event', plural: 'events', isNamespaced: true };

async function eventReasons(policy: string): Promise<string[]> {
  const found = await listAll<KubeObject & { readonly reason: string; readonly type: string }>({
    ...{ client: world.api.client, resource: events, namespace: 'shop', signal: never, pageSize: 100, most: 1000 },
    ...{ labelSelector: undefined, fieldSelector: `involvedObject.name=${policy}` },
  });
  return found.map(({ type, reason }) => `${type} ${reason}`);
}

test('a key is rotated through servers that lag, lie and die, and none signs whose record was seen to be away', async () => {
  const managed = { algorithms: ['Ed25519'], rotationPeriodDays: 30, overlapDays: 7 };
  await world.zone('rotate.example', []);
  await world.relay('rotate');
  const spec = { ...relayRef('rotate'), domains: ['rotate.example'], dkim: { type: 'Managed', managed } };
  await world.policy('rotate', spec);
  await whenKeys('rotate', 'Pending');
  const records = async () => published((await world.status('rotate')).dnsRecords ?? []);
  await world.zone('rotate.example', await records());
  await whenKeys('rotate', 'Active');
  const [old] = await keysOf('rotate');

  // The successor is made early, and waits for both servers and for its day.
  world.clock.jump(23 * dayMs + minuteMs);
  await whenKeys('rotate', 'Active Pending');
  const both = await records();
  await world.zone('rotate.example', both, [world.dns.one]);
  const lagging = (await world.api.server.auditLog()).length;
  world.clock.jump(5 * minuteMs);
  await waitUntil('a server that lags to be told of', async () =>
    (await world.status('rotate')).conditions?.some(({ message }) => message.includes('says ns2.rotate.example')),
  );
  assert.ok((await world.api.server.auditLog()).length > lagging);
  assert.deepEqual(
    (await keysOf('rotate')).map(({ state }) => state),
    ['Active', 'Pending'],
  );
  await world.zone('rotate.example', both);
  await whenKeys('rotate', 'Active Published');
  world.clock.jump(7 * dayMs);
  await whenKeys('rotate', 'Retiring Active');
  const [, next] = await keysOf('rotate');
  await signsAlone(next?.selector);
  assert.equal((await records()).length, 4, 'the record of the old key is still asked for');

  // One server lies: it has the zone of before.
  const stale = both.filter(line => !line.includes(next?.selector ?? ''));
  await world.zone('rotate.example', stale, [world.dns.two]);
  await whenKeys('rotate', 'Active Pending');
  await signsAlone(old?.selector);
  await waitUntil('the Event', async () => (await eventReasons('rotate')).includes('Warning KeyRecordLost'));

  // Both die: what signs goes on signing, and nothing else begins to.
  world.dns.one.pause();
  world.dns.two.pause();
  world.clock.jump(5 * minuteMs);
  await waitUntil(
    'the silence to be seen',
    async () => (await world.condition('rotate', 'DNSPublished')) === 'Unknown RecordsUnknown',
    { limitMs: 20_000 },
  );
  assert.deepEqual(
    (await keysOf('rotate')).map(({ state }) => state),
    ['Active', 'Pending'],
  );
  world.dns.one.resume();
  world.dns.two.resume();

  await world.zone('rotate.example', both);
  await whenKeys('rotate', 'Retiring Active');
  world.clock.jump(8 * dayMs);
  await whenKeys('rotate', 'Active');
  assert.equal((await keysOf('rotate'))[0]?.selector, next?.selector);
  assert.equal((await world.rings()).length, 1);
});

interface Endpoint extends KubeObject {
  readonly spec: { readonly endpoints: readonly { readonly dnsName: string; readonly targets: readonly string[] }[] };
}

test('records are left to external-dns as a DNSEndpoint, SPF together with what the owner has there', async () => {
  await world.zone('external.example', ['@ TXT "v=spf1 ip4:192.0.2.1 -all"', '_dmarc TXT "v=DMARC1; p=reject"']);
  await world.relay('external', { hostname: 'mail.external.example' });
  const managed = { algorithms: ['RSA2048'] };
  const spec = { ...relayRef('external'), domains: ['external.example'], dkim: { type: 'Managed', managed } };
  await world.policy('external', { ...spec, dns: { publish: 'ExternalDNS' } });
  const name = { namespace: 'shop', name: 'external-dns' };
  const find = async (): Promise<Map<string, string> | undefined> => {
    const found = await world.api.get<Endpoint>(optionalKinds.dnsEndpoint, name).catch(() => undefined);
    return found && new Map(found.spec.endpoints.map(({ dnsName, targets }) => [dnsName, targets[0] ?? '']));
  };
  const endpoints = await waitUntil('the merged SPF record', async () => {
    const all = await find();
    return all?.has('external.example') ? all : undefined;
  });
  assert.equal(endpoints.get('external.example'), '"v=spf1 ip4:192.0.2.1 a:mail.external.example -all"');
  const key = [...endpoints].find(([dnsName]) => dnsName.includes('_domainkey'))?.[1] ?? '';
  assert.match(key, /^"v=DKIM1; k=rsa; p=[^"]{230,}" "[^"]+"$/, 'cut after 255 octets');
  const { dnsRecords = [] } = await world.status('external');
  const dmarc = dnsRecords.find(({ purpose }) => purpose === 'DMARC');
  assert.deepEqual([dmarc?.state, dmarc?.observed], ['Mismatch', 'v=DMARC1; p=reject']);
  await world.api.edit({ ...optionalKinds.dnsEndpoint }, name, { spec: { endpoints: [] } });
  await waitUntil('the edit to be repaired', async () => ((await find())?.size ?? 0) === 3);
});

test('a DNSEndpoint of somebody else under the name of ours is left as it is, whatever its labels, and the policy says so', async () => {
  await world.relay('taken');
  const endpoints = [{ dnsName: 'www.taken.example', recordTTL: 60, recordType: 'A', targets: ['192.0.2.1'] }];
  for (const [policy, labels] of [
    ['plain', {}],
    ['labelled', { 'app.kubernetes.io/managed-by': 'postroad-operator' }],
  ] as const) {
    const metadata = { name: `${policy}-dns`, namespace: 'shop', labels };
    const { apiVersion, kind } = optionalKinds.dnsEndpoint;
    await world.api.create(optionalKinds.dnsEndpoint, {
      apiVersion,
      kind,
      metadata,
      spec: { endpoints },
    } as KubeObject);
    const spec = { ...relayRef('taken'), domains: [`${policy}.example`] };
    await world.policy(policy, { ...spec, dns: { publish: 'ExternalDNS' } });
    await world.whenCondition(policy, 'DNSPublished', 'False NameTaken');
    await world.api.edit(domainPolicies, { namespace: 'shop', name: policy }, { spec: { dns: { publish: 'Manual' } } });
    await waitUntil('the change', async () => (await world.condition(policy, 'DNSPublished')) !== 'False NameTaken');
    const found = await world.api.get<Endpoint>(optionalKinds.dnsEndpoint, metadata);
    assert.deepEqual(found.spec.endpoints, endpoints);
    assert.equal(found.metadata.ownerReferences, undefined);
  }
});
