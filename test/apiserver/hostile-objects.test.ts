/** Objects that an API server takes, and that somebody made to trip us: with names that JavaScript's own objects have, and with content of ours that was tampered with. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { domainPolicies, secrets } from '../../operator/cluster/kinds.ts';
import { controllers } from '../../operator/controllers.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import type { RelayConfigInput } from '../../relay/config.ts';
import { configMaps } from '../operator/kube/fakes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { namespaces, never } from './api-world.ts';
import { type RelayWorld, startRelayWorld } from './mailrelay-world.ts';

const innate = 'constructor';
let world: RelayWorld;

before(async () => {
  world = await startRelayWorld({ factories: controllers });
  const labels = { [innate]: 'valueOf' };
  await world.api.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: innate, labels } });
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

/** Without a question to any name server. */
const offline = { dkim: { type: 'Disabled' }, dns: { checks: 'Disabled' } };

interface WithData extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

async function configOf(name: string, namespace: string): Promise<RelayConfigInput> {
  const map = await world.api.get<WithData>(configMaps, { namespace, name: `${name}-relay-config` });
  return JSON.parse(map.data?.['relay.json'] ?? '') as RelayConfigInput;
}

test('namespaces, objects, labels and users may be called as members of every JavaScript object are', async () => {
  const users = { ['__proto__']: 'password-one', constructor: 'password-two', toString: 'password-three' };
  await world.api.create(secrets, {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace: innate, name: innate } },
    ...{ type: 'Opaque', stringData: users },
  } as KubeObject);
  const chosen = { from: 'Selector', selector: { matchLabels: { [innate]: 'valueOf' } } };
  await world.createRelay(
    {
      replicas: 1,
      policies: { namespaces: chosen },
      clients: { usersSecretRef: { name: innate } },
      template: { labels: { [innate]: 'toString' }, annotations: { valueOf: '{"__proto__":1}' } },
    },
    { namespace: innate, name: innate },
  );
  const senders = { namespaces: chosen, users: ['__proto__', 'toString'] };
  await world.createPolicy(
    { ...offline, relayRef: { namespace: innate, name: innate }, domains: ['constructor.example.com'], senders },
    { namespace: innate, name: innate },
  );
  await world.untilReason({ namespace: innate, name: innate }, 'Ready', 'Ready');
  const config = await waitUntil('the policy is in the configuration', async () => {
    const found = await configOf(innate, innate);
    return found.policies?.length === 1 ? found : undefined;
  });
  assert.deepEqual(config.policies?.[0]?.senders, {
    ...{ namespaces: [innate], serviceAccounts: [], users: ['__proto__', 'toString'] },
  });
  assert.deepEqual(await usersOf(innate, innate), users);
});

/** As a pod reads them. */
async function usersOf(name: string, namespace: string): Promise<object> {
  const { data = {} } = await world.api.get<WithData>(secrets, { namespace, name: `${name}-relay-files-0` });
  const [file] = Object.keys(data).filter(key => key.startsWith('users'));
  assert.ok(file !== undefined, Object.keys(data).join());
  return JSON.parse(Buffer.from(data[file] ?? '', 'base64').toString()) as object;
}

const relay = { namespace: 'mail', name: 'outbound' };
const tampered: Readonly<Record<string, string>> = {
  'text that is no JSON': '{',
  'no list': '{}',
  'a key that is nothing': '[null]',
  'a selector that leads out of the folder': JSON.stringify([{ selector: '../../tls', algorithm: 'Ed25519' }]),
  'a selector of JavaScript': '[{"selector":"__proto__"}]',
};

/** With keys that sign at once after their wait: nobody looks for their records. */
const managed = { dkim: { type: 'Managed', managed: { algorithms: ['Ed25519'] } }, dns: { checks: 'Disabled' } };

async function policyStatus(name: string): Promise<DomainPolicy['status']> {
  return (await world.api.get<DomainPolicy & KubeObject>(domainPolicies, { namespace: 'shop', name })).status;
}

async function untilPolicy(name: string, condition: string): Promise<void> {
  await waitUntil(`${name} says ${condition}`, async () =>
    (await policyStatus(name))?.conditions?.some(
      ({ type, status, reason }) => `${type} ${status} ${reason}` === condition,
    ),
  );
}

async function ringOf(policy: string): Promise<KubeObject & { readonly data: Readonly<Record<string, string>> }> {
  const { items } = await world.api.client.request<{ items: (KubeObject & { data: Record<string, string> })[] }>({
    ...{ method: 'GET', path: '/api/v1/namespaces/mail/secrets', signal: never },
    query: { labelSelector: `postroad.dev/policy-name=${policy}` },
  });
  const [ring] = items;
  assert.ok(ring !== undefined, `${policy} has its keys somewhere`);
  return ring;
}

function entry(text: string): string {
  return Buffer.from(text).toString('base64');
}

test('keys that somebody tampered with stop neither their policy nor its neighbours, are told of, and come back with their Secret', async () => {
  await world.createRelay({ replicas: 1, policies: { namespaces: { from: 'All' } } });
  for (const name of ['shop', 'neighbour'])
    await world.createPolicy({ ...managed, domains: [`${name}.example.com`] }, { name, namespace: 'shop' });
  for (const name of ['shop', 'neighbour']) await untilPolicy(name, 'Programmed True ConfigurationApplied');
  const whole = await ringOf('shop');
  const before_ = (await configOf(relay.name, relay.namespace)).policies?.find(({ name }) => name === 'shop');
  const told = await policyStatus('shop');
  assert.equal(told?.dkim?.keys.length, 1);
  const [selector = ''] = told?.dkim?.keys.map(key => key.selector) ?? [];
  const changes = [
    ...Object.entries(tampered).map(([what, text]) => [what, { 'keys.json': entry(text) }] as const),
    ['a private key that is none', { [`${selector}.pem`]: entry('-----BEGIN PRIVATE KEY-----\nAAAA\n') }] as const,
    ['no private key', { [`${selector}.pem`]: null }] as const,
  ];
  for (const [index, [what, data]] of changes.entries()) {
    await world.api.edit(secrets, whole.metadata, { data });
    await untilPolicy('shop', 'ResolvedRefs False SecretInvalid');
    await untilPolicy('shop', 'DKIMReady Unknown SecretInvalid');
    const now = await policyStatus('shop');
    assert.deepEqual([now?.dkim, now?.dnsRecords], [told?.dkim, told?.dnsRecords], what);
    // A change of the neighbour reaches the pods, beside what the policy had.
    const domain = `neighbour${index}.example.com`;
    await world.api.edit(domainPolicies, { namespace: 'shop', name: 'neighbour' }, { spec: { domains: [domain] } });
    const config = await waitUntil(`the neighbour of ${what} has its domain`, async () => {
      const found = await configOf(relay.name, relay.namespace);
      return found.policies?.some(({ domains }) => domains.includes(domain)) ? found : undefined;
    });
    const kept = config.policies?.find(({ name }) => name === 'shop');
    assert.deepEqual(kept, before_, what);
    await world.api.edit(secrets, whole.metadata, { data: whole.data });
    await untilPolicy('shop', 'ResolvedRefs True ResolvedRefs');
  }
  await world.untilReason(relay, 'Programmed', 'ConfigurationApplied');
  assert.deepEqual((await policyStatus('shop'))?.dkim, told?.dkim);
});
