import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { resourceOf, secrets } from '../../operator/cluster/kinds.ts';
import { type KubeObject, keyOf } from '../../operator/kube/object.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type RelayWorld, reasonOf, startRelayWorld } from './mailrelay-world.ts';

const outbound = { namespace: 'mail', name: 'outbound' };
const spec = {
  replicas: 3,
  listeners: [
    { name: 'smtp', port: 25, protocol: 'SMTP', tls: 'Optional', authentication: 'Optional' },
    { name: 'submission', port: 587, protocol: 'SMTP', tls: 'Required', authentication: 'Required' },
    { name: 'submissions', port: 465, protocol: 'SMTPS', authentication: 'Required' },
  ],
  policies: { namespaces: { from: 'All' } },
  queue: { type: 'Volume', volume: { size: '50Gi', storageClassName: 'fast' } },
};

let world: RelayWorld;

before(async () => {
  world = await startRelayWorld();
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

async function golden(name: string): Promise<KubeObject[]> {
  const file = new URL(`../golden/mailrelay/${name}.yaml`, import.meta.url);
  return parseAllDocuments(await readFile(file, 'utf8')).map(document => document.toJS() as KubeObject);
}

function find(wanted: KubeObject): Promise<KubeObject | undefined> {
  return world.api.find(resourceOf(wanted), wanted.metadata);
}

/** Every field that is stated, as `path: stated, not found`. What chance decides is left out. */
function differences(stated: unknown, found: unknown, path = ''): string[] {
  if (chance.some(pattern => pattern.test(path))) return [];
  if (Array.isArray(stated)) {
    if (!Array.isArray(found) || found.length !== stated.length) return [`${path}: ${JSON.stringify(found)}`];
    return stated.flatMap((one, index) => differences(one, found[index], `${path}[${index}]`));
  }
  if (typeof stated === 'object' && stated !== null) {
    if (typeof found !== 'object' || found === null) return [`${path}: ${JSON.stringify(found)}`];
    return Object.entries(stated).flatMap(([key, value]) =>
      differences(value, Reflect.get(found, key), `${path}/${key}`),
    );
  }
  return stated === found ? [] : [`${path}: ${JSON.stringify(stated)}, not ${JSON.stringify(found)}`];
}

const chance = [
  /^(Secret|ConfigMap)\/data/,
  /ownerReferences\[0\]\/uid$/,
  /annotations\/postroad\.dev\/configuration-revision$/,
];

test('a new MailRelay with two DomainPolicies has all its objects as in the golden manifests in under 5 s', async () => {
  const wanted = await golden('volume-3-replicas');
  const startMs = performance.now();
  await world.createPolicy();
  await world.createPolicy({ domains: ['bank.example.com'] }, { name: 'bank', namespace: 'bank' });
  await world.createRelay(spec);
  const faults = await waitUntil(
    'every object is there',
    async () => {
      const all = await Promise.all(wanted.map(async one => [one, await find(one)] as const));
      if (all.some(([, found]) => found === undefined)) return undefined;
      return all.flatMap(([one, found]) => differences(one, found, one.kind));
    },
    { limitMs: 20_000, everyMs: 50 },
  );
  const tookMs = performance.now() - startMs;
  assert.deepEqual(faults, []);
  console.log(`${wanted.length} objects right after ${Math.round(tookMs)} ms`);
  assert.ok(tookMs < 5000, `${tookMs} ms`);
  const relay = await world.untilReason(outbound, 'Ready', 'Ready');
  console.log(`Ready after ${Math.round(performance.now() - startMs)} ms`);
  assert.equal(relay.status?.attachedPolicies, 2);
  assert.equal(relay.status?.readyReplicas, 3);
  assert.equal(relay.status?.configurationRevision, relay.status?.appliedRevision);
  for (const type of ['Accepted', 'ResolvedRefs', 'CertificateReady', 'Programmed'])
    assert.equal(relay.status?.conditions?.find(one => one.type === type)?.status, 'True', type);
});

test('a second full pass over it, by an operator that remembers nothing, writes nothing and asks for no object', async () => {
  await world.untilStill();
  await world.stopOperator();
  const before_ = (await world.operatorRequests()).length;
  await world.startOperator();
  await world.untilStill();
  const after_ = (await world.operatorRequests()).slice(before_);
  assert.ok(after_.some(({ verb, resource }) => verb === 'list' && resource === 'mailrelays'));
  assert.deepEqual(
    after_.filter(({ verb }) => verb !== 'list' && verb !== 'watch').map(({ verb, uri }) => `${verb} ${uri}`),
    [],
  );
});

test('whatever is edited or deleted of it is repaired, kind by kind', async () => {
  const wanted = await golden('volume-3-replicas');
  for (const object of wanted) {
    const name = `${object.kind} ${keyOf(object.metadata)}`;
    const before_ = await find(object);
    assert.ok(before_ !== undefined, name);
    await world.api.edit(resourceOf(object), object.metadata, {
      metadata: { labels: { 'app.kubernetes.io/part-of': 'somebody' } },
    });
    await waitUntil(`${name} has its label again`, async () =>
      (await find(object))?.metadata.labels?.['app.kubernetes.io/part-of'] === 'postroad' ? true : undefined,
    );
    await world.api.remove(resourceOf(object), object.metadata);
    await waitUntil(`${name} is there again`, async () => {
      const now = await find(object);
      return now !== undefined && now.metadata.uid !== before_.metadata.uid ? true : undefined;
    });
  }
  const relay = await world.untilReason(outbound, 'Ready', 'Ready');
  assert.equal(reasonOf(relay.status, 'Accepted'), 'Accepted');
});

test('its keys are never made anew while they are there, and are when they are gone', async () => {
  const name = { namespace: 'mail', name: 'outbound-relay-keys' };
  const before_ = await world.api.get(secrets, name);
  await world.api.remove(secrets, name);
  await waitUntil('keys are there again', async () => {
    const now = await find(before_);
    return now !== undefined && now.metadata.uid !== before_.metadata.uid ? true : undefined;
  });
  await world.untilReason(outbound, 'Programmed', 'ConfigurationApplied');
});
