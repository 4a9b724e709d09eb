/** In one file because its tests share one API server, which takes longer to start than most of them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { domainPolicies, mailRelays, namespaces, optionalKinds, secrets } from '../../operator/cluster/kinds.ts';
import { dkimKeyOf, mintDkimKey } from '../../operator/domainpolicy/dkim-key.ts';
import { isNotFound } from '../../operator/kube/errors.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import { isWrite } from '../support/apiserver-audit.ts';
import { waitUntil } from '../support/wait-until.ts';
import { installForeignCrds } from './install-crds.ts';
import { type PolicyWorld, startPolicyWorld } from './policy-world.ts';
import { published } from './published-records.ts';

let world: PolicyWorld;

before(async () => {
  world = await startPolicyWorld();
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

const relayRef = (name: string) => ({ relayRef: { name, namespace: 'mail' } });

test('a key is minted once, signs when its record is at every server and the pods have it, and the status says so', async () => {
  await world.zone('sign.example', []);
  await world.relay('sign', { hostname: 'mail.sign.example' });
  world.podsFollow = false;
  await world.policy('sign', { ...relayRef('sign'), domains: ['sign.example'] });
  await world.whenCondition('sign', 'DNSPublished', 'False RecordsMissing');
  await world.whenCondition('sign', 'DKIMReady', 'False KeysPending');
  await waitUntil('every record to be looked up', async () => {
    const { dnsRecords: all = [] } = await world.status('sign');
    return (
      all.map(({ purpose, state }) => `${purpose} ${state}`).join(', ') === 'DKIM Missing, SPF Missing, DMARC Missing'
    );
  });
  const { dnsRecords = [], dkim } = await world.status('sign');
  const [key] = dkim?.keys ?? [];
  const [secret] = (await world.rings()).filter(({ metadata }) => metadata.name.startsWith('sign-dkim-'));
  assert.equal(secret?.metadata.namespace, 'mail');
  assert.equal(secret?.metadata.ownerReferences?.[0]?.kind, 'MailRelay');

  const lines = published(dnsRecords);
  await world.zone('sign.example', lines, [world.dns.one]);
  world.clock.jump(300_000);
  await waitUntil('one of two servers to be seen', async () => {
    const { conditions = [] } = await world.status('sign');
    return conditions.some(({ message }) => message.includes('says ns2.sign.example, not every server'));
  });
  assert.equal((await world.status('sign')).dkim?.keys[0]?.state, 'Pending');

  await world.zone('sign.example', lines);
  world.clock.jump(300_000);
  await world.whenCondition('sign', 'DNSPublished', 'True RecordsPublished');
  await waitUntil(
    'the key to be published',
    async () => (await world.status('sign')).dkim?.keys[0]?.state === 'Published',
  );
  assert.equal(await world.condition('sign', 'DKIMReady'), 'False KeysPending');
  world.podsFollow = true;
  await world.whenCondition('sign', 'DKIMReady', 'True KeysActive');
  await world.whenCondition('sign', 'Programmed', 'True ConfigurationApplied');
  await world.whenCondition('sign', 'Ready', 'True Ready');
  assert.equal((await world.status('sign')).dkim?.keys[0]?.selector, key?.selector);
});

test('a domain that is added without its record stops no other, and is signed for once it is there', async () => {
  await world.zone('first.example', []);
  await world.zone('added.example', []);
  await world.relay('adds', { hostname: 'mail.first.example' });
  await world.policy('adds', { ...relayRef('adds'), domains: ['first.example'] });
  await world.whenCondition('adds', 'DNSPublished', 'False RecordsMissing');
  await world.zone('first.example', published((await world.status('adds')).dnsRecords ?? []));
  world.clock.jump(300_000);
  await world.whenCondition('adds', 'DKIMReady', 'True KeysActive');
  const name = { namespace: 'shop', name: 'adds' };
  await world.api.edit(domainPolicies, name, { spec: { domains: ['first.example', '*.added.example'] } });
  const signsFor = async () => (await world.status('adds')).dkim?.keys[0]?.signsFor;
  await world.whenCondition('adds', 'DKIMReady', 'False KeysPending');
  assert.deepEqual(await signsFor(), ['first.example']);
  const { conditions = [], dnsRecords = [] } = await world.status('adds');
  const message = conditions.find(({ type }) => type === 'DKIMReady')?.message ?? '';
  assert.match(
    message,
    /^mail of added\.example is not signed: the record of \w+ \(Ed25519\) at added\.example is awaited/,
  );
  await world.zone('added.example', published(dnsRecords.filter(record => record.name.endsWith('added.example'))));
  world.clock.jump(300_000);
  await world.whenCondition('adds', 'DKIMReady', 'True KeysActive');
  assert.deepEqual(await signsFor(), ['first.example', 'added.example']);

  // The owner takes the record of a key away that others have seen, and asks for a new one.
  const [old] = (await world.status('adds')).dkim?.keys ?? [];
  await world.zone('added.example', []);
  world.clock.jump(300_000);
  await waitUntil('the loss to be seen', async () => (await signsFor())?.join() === 'first.example');
  const annotations = { 'postroad.dev/rotate-keys': '2026-11: seen in a build log' };
  await world.api.edit(domainPolicies, name, { metadata: { annotations } });
  await waitUntil('a successor', async () => (await world.status('adds')).dkim?.keys.length === 2);
  const asked = (await world.status('adds')).dnsRecords ?? [];
  const askedOf = (selector: string | undefined): string[] =>
    asked.flatMap(record => (record.name.startsWith(`${selector}.`) ? [record.name] : []));
  assert.deepEqual(askedOf(old?.selector), [`${old?.selector}._domainkey.first.example`], 'not where it is gone');
  await world.zone('first.example', published(asked.filter(record => record.name.endsWith('first.example'))));
  await world.zone('added.example', published(asked.filter(record => record.name.endsWith('added.example'))));
  world.clock.jump(300_000);
  await waitUntil('the old key to be gone', async () => {
    const { keys = [] } = (await world.status('adds')).dkim ?? {};
    return keys.length === 1 && keys[0]?.selector !== old?.selector && keys[0]?.signsFor?.length === 2;
  });
  assert.equal(await world.condition('adds', 'DKIMReady'), 'True KeysActive');
});

test('a second pass over everything writes nothing', async () => {
  const before = (await world.api.server.auditLog()).length;
  const versions = async (): Promise<string | undefined> =>
    (await world.api.get(domainPolicies, { namespace: 'shop', name: 'sign' })).metadata.resourceVersion;
  const version = await versions();
  world.touchAll();
  // A label of somebody else's brings the policy to the queue, and is the only write that there is.
  await world.api.edit(domainPolicies, { namespace: 'shop', name: 'sign' }, { metadata: { labels: { team: 'shop' } } });
  world.clock.jump(200_000);
  await world.relay('later');
  await world.policy('later', { ...relayRef('later'), domains: ['later.example'] });
  await world.whenCondition('later', 'DKIMReady', 'False KeysPending');
  const writes = (await world.api.server.auditLog())
    .slice(before)
    .filter(request => isWrite(request) && request.user !== '' && request.name.startsWith('sign'))
    .map(({ verb, resource, name, userAgent }) => `${verb} ${resource} ${name} ${userAgent.split('/')[0]}`);
  assert.equal(writes.length, 1, JSON.stringify(writes));
  assert.notEqual(await versions(), version);
});

test('the older of two that claim a domain has it, the loser is told, and takes over when it goes', async () => {
  await world.relay('claims');
  const spec = { ...relayRef('claims'), domains: ['claims.example'] };
  await world.policy('b-first', spec);
  await world.whenCondition('b-first', 'Accepted', 'True Accepted');
  const madeMs = Date.now();
  await waitUntil('the next second', () => Math.floor(Date.now() / 1000) > Math.floor(madeMs / 1000));
  await world.policy('a-second', spec);
  await world.whenCondition('a-second', 'Accepted', 'False Conflicted');
  const { conditions = [] } = await world.status('a-second');
  assert.match(conditions.find(({ type }) => type === 'Accepted')?.message ?? '', /belongs to shop\/b-first/);
  await world.api.remove(domainPolicies, { namespace: 'shop', name: 'b-first' });
  await world.whenCondition('a-second', 'Accepted', 'True Accepted');
  await waitUntil('the keys of the one that went to go', async () => {
    const names = (await world.rings()).map(({ metadata }) => metadata.labels?.['postroad.dev/policy-name']);
    return !names.includes('b-first') && names.includes('a-second');
  });
});

test('a relay that asks for a label takes a namespace when it gets the label, and lets it go when it loses it', async () => {
  const selector = { matchLabels: { tier: 'gold' } };
  await world.relay('selects', { policies: { namespaces: { from: 'Selector', selector } } });
  await world.relay('own', { policies: { namespaces: { from: 'Same' } } });
  await world.policy('gold', { ...relayRef('selects'), domains: ['gold.example'] }, 'other');
  await world.policy('stranger', { ...relayRef('own'), domains: ['own.example'] }, 'other');
  await world.policy('native', { ...relayRef('own'), domains: ['own.example'] }, 'mail');
  await world.whenCondition('native', 'Accepted', 'True Accepted', 'mail');
  await world.whenCondition('stranger', 'Accepted', 'False RelayNotFound', 'other');
  await world.whenCondition('gold', 'Accepted', 'False RelayNotFound', 'other');
  await world.api.edit(namespaces, { name: 'other' }, { metadata: { labels: { tier: 'gold' } } });
  await world.whenCondition('gold', 'Accepted', 'True Accepted', 'other');
  await world.api.edit(namespaces, { name: 'other' }, { metadata: { labels: { tier: null } } });
  await world.whenCondition('gold', 'Accepted', 'False RelayNotFound', 'other');
});

test('a policy comes to life when the relay that it names is made', async () => {
  await world.policy('waits', { ...relayRef('comes'), domains: ['waits.example'] });
  await world.whenCondition('waits', 'Accepted', 'False RelayNotFound');
  await world.relay('comes');
  await world.whenCondition('waits', 'Accepted', 'True Accepted');
});

test('keys move with their policy to a relay of another name, stay what they are, and sign there from the first', async () => {
  await world.relay('from');
  await world.relay('to');
  await world.zone('moves.example', []);
  await world.policy('moves', { ...relayRef('from'), domains: ['moves.example'] });
  await world.whenCondition('moves', 'DKIMReady', 'False KeysPending');
  await world.zone('moves.example', published((await world.status('moves')).dnsRecords ?? []));
  world.clock.jump(300_000);
  await world.whenCondition('moves', 'DKIMReady', 'True KeysActive');
  const before = (await world.status('moves')).dkim?.keys.map(({ selector }) => selector);
  await world.api.edit(domainPolicies, { namespace: 'shop', name: 'moves' }, { spec: relayRef('to') });
  await waitUntil('the keys to be with the other relay alone', async () => {
    const names = (await world.rings())
      .filter(({ metadata }) => metadata.labels?.['postroad.dev/policy-name'] === 'moves')
      .map(({ metadata }) => metadata.name);
    return names.length === 1 && names[0]?.startsWith('to-dkim-');
  });
  assert.deepEqual(
    (await world.status('moves')).dkim?.keys.map(({ selector }) => selector),
    before,
  );
  const signing = world.taken.flatMap(({ relay, parts }) =>
    relay === 'mail/to' ? (parts.get('shop/moves') ?? []) : [],
  );
  assert.ok(signing.length > 0);
  for (const part of signing)
    assert.deepEqual(
      part.signing.map(({ selector }) => selector),
      before,
      'no pod had it without its key',
    );
});

test('given keys sign at once; a Secret that is missing or wrong is a condition', async () => {
  await world.relay('given');
  const dkim = { type: 'SecretRef', secretRef: { name: 'keys' } };
  await world.policy('given', { ...relayRef('given'), domains: ['given.example'], dkim });
  await world.whenCondition('given', 'ResolvedRefs', 'False SecretNotFound');
  await waitUntil('the Event', async () => (await world.events('given')).includes('Warning SecretNotFound'));
  const pem = await mintDkimKey('Ed25519');
  const data = { mine: Buffer.from(pem).toString('base64') };
  await world.api.create(secrets, {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys', namespace: 'shop' } },
    ...{ data },
  });
  await world.whenCondition('given', 'DKIMReady', 'True KeysActive');
  const { dkim: kept, dnsRecords = [] } = await world.status('given');
  const signsFor = ['given.example'];
  assert.deepEqual(kept?.keys, [{ selector: 'mine', algorithm: 'Ed25519', state: 'Active', signsFor }]);
  assert.equal(dnsRecords[0]?.value, dkimKeyOf(pem, 'mine').recordValue);
});

test('a relay that is paused keeps the keys of its policies as they are', async () => {
  await world.relay('paused', { reconciliation: 'Paused' });
  await world.policy('paused', { ...relayRef('paused'), domains: ['paused.example'] });
  await world.whenCondition('paused', 'DKIMReady', 'False KeysUnavailable');
  await world.api.edit(mailRelays, { namespace: 'mail', name: 'paused' }, { spec: { reconciliation: 'Active' } });
  await world.whenCondition('paused', 'DKIMReady', 'False KeysPending');
});

test('that nobody publishes what is left to external-dns is a condition, as long as the cluster does not know it', async () => {
  await world.relay('lacks');
  await world.policy('lacks', { ...relayRef('lacks'), domains: ['lacks.example'], dns: { publish: 'ExternalDNS' } });
  await world.whenCondition('lacks', 'DNSPublished', 'False ExternalDNSNotFound');
});

/** Not made yet, or its kind is not known yet. */
function unlessThere(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
}

interface Endpoint extends KubeObject {
  readonly spec: { readonly endpoints: readonly { readonly dnsName: string; readonly targets: readonly string[] }[] };
}

test('records are left to external-dns as a DNSEndpoint, but none beside what the owner has there', async () => {
  await installForeignCrds(world.api);
  await world.zone('external.example', ['@ TXT "v=spf1 ip4:192.0.2.1 -all"', '_dmarc TXT "v=DMARC1; p=reject"']);
  await world.relay('external', { hostname: 'mail.external.example' });
  const managed = { algorithms: ['RSA2048'] };
  const spec = { ...relayRef('external'), domains: ['external.example'], dkim: { type: 'Managed', managed } };
  await world.policy('external', { ...spec, dns: { publish: 'ExternalDNS' } });
  const name = { namespace: 'shop', name: 'external-dns' };
  const find = async (): Promise<Map<string, string> | undefined> => {
    const found = await world.api.get<Endpoint>(optionalKinds.dnsEndpoint, name).catch(unlessThere);
    return found && new Map(found.spec.endpoints.map(({ dnsName, targets }) => [dnsName, targets[0] ?? '']));
  };
  await world.whenCondition('external', 'DNSPublished', 'False ExternalDNSNotFound');
  assert.equal(await find(), undefined, 'published for a namespace that may not');
  const labels = { 'postroad.dev/publish-dns': 'Allowed' };
  await world.api.edit(namespaces, { name: 'shop' }, { metadata: { labels } });
  const keyIn = (all: Map<string, string> | undefined): string | undefined =>
    [...(all ?? [])].find(([dnsName]) => dnsName.includes('_domainkey'))?.[1];
  const key = await waitUntil('the key to be published', async () => {
    const found = keyIn(await find());
    // The kind is looked for now and then.
    if (found === undefined) world.clock.jump(5000);
    return found;
  });
  assert.match(key, /^"v=DKIM1; k=rsa; p=[^"]{230,}" "[^"]+"$/, 'cut after 255 octets');
  const dmarc = await waitUntil('the status to tell of it', async () => {
    const { dnsRecords = [] } = await world.status('external');
    return dnsRecords.find(({ purpose, state }) => purpose === 'DMARC' && state !== 'Unknown');
  });
  assert.deepEqual([dmarc.state, dmarc.observed], ['Mismatch', 'v=DMARC1; p=reject']);
  const spf = await waitUntil('the status to tell of SPF', async () => {
    const { dnsRecords = [] } = await world.status('external');
    return dnsRecords.find(({ purpose, state }) => purpose === 'SPF' && state !== 'Unknown');
  });
  assert.equal(spf.value, 'v=spf1 ip4:192.0.2.1 a:mail.external.example -all', 'what the owner should make of it');
  assert.equal((await find())?.size, 1, 'beside a record of the owner');
  await world.zone('external.example', []);
  await waitUntil('what the owner took away to be published', async () => {
    world.clock.jump(60_000);
    return (await find())?.size === 3;
  });
  const endpoints = await find();
  assert.equal(endpoints?.get('external.example'), '"v=spf1 a:mail.external.example ~all"');
  assert.match(endpoints?.get('_dmarc.external.example') ?? '', /^"v=DMARC1; /);
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
