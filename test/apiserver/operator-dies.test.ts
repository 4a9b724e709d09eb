import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { domainPolicies, mailRelays, secrets } from '../../operator/cluster/kinds.ts';
import { type KubeObject, keyOf } from '../../operator/kube/object.ts';
import { policyNameLabel } from '../../operator/labels.ts';
import { type AuditedRequest, isWrite } from '../support/apiserver-audit.ts';
import { type NodeStandIn, startNodeStandIn } from '../support/node-stand-in.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, namespaces, startWorld } from './api-world.ts';
import { accountOf, differences, storedIn } from './chaos/account.ts';
import { type KeptKeys, watchKeptKeys } from './chaos/kept-keys.ts';
import { normalForm } from './chaos/normal-form.ts';
import { type OperatorSlots, startOperatorSlots, writeTokens } from './chaos/operator-slots.ts';
import { listOf, type Places, RandomChanges } from './chaos/random-changes.ts';
import { installOwnCrds } from './install-crds.ts';

const seed = Number(process.env['POSTROAD_TEST_SEED'] ?? Date.now() % 1_000_000);
const changesWanted = 200;
const woundsWanted = 6;
/** Pods that have not been heard since a change of leaders answer within it. */
const stillMs = 1500;
const users = ['operator-a', 'operator-b', 'operator-c'];
const here: Places = { relays: 'relays-a', policies: 'policies-a' };
const twins: Places = { relays: 'relays-b', policies: 'policies-b' };
const parts = new AsyncDisposableStack();
let world: ApiWorld;
let kept: KeptKeys;
let node: NodeStandIn;
let folder: string;

before(async () => {
  console.log(`seed ${seed}`);
  folder = parts.use(await temporaryFolder()).path;
  await writeTokens(join(folder, 'tokens.csv'), users);
  world = parts.use(await startWorld({ flags: [`--token-auth-file=${join(folder, 'tokens.csv')}`] }));
  await installOwnCrds(world);
  await world.server.startControllerManager();
  for (const name of [...Object.values(here), ...Object.values(twins)])
    await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  node = parts.use(await startNodeStandIn({ server: world.server, mode: 'reports' }));
  kept = parts.use(await watchKeptKeys(world));
});
after(async () => {
  await parts.disposeAsync();
});

async function start(names: readonly string[]): Promise<OperatorSlots> {
  return await startOperatorSlots({ world, folder, caFile: world.server.caFile, users: names });
}

/** Of the operators, without their candidacies. */
async function requests(): Promise<AuditedRequest[]> {
  return (await world.server.auditLog()).filter(({ user }) => users.includes(user));
}

const isLease = ({ resource }: AuditedRequest): boolean => resource === 'leases';
const isOwnWrite = (one: AuditedRequest): boolean => isWrite(one) && !isLease(one);
const isGood = ({ code }: AuditedRequest): boolean => code >= 200 && code < 300;

/**
 * Until one leads who has nothing to do, every object was seen in its last generation and no pod's word is awaited (nobody writes while it
 * is), those that were deleted are gone, and nobody has written for a while.
 */
async function untilSettled(places: Places, slots: OperatorSlots): Promise<void> {
  let stillSince = performance.now();
  let writesBefore = -1;
  async function isSettled(): Promise<boolean> {
    const all = await storedIn(world, places);
    const isSeen = all.every(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined &&
        status?.observedGeneration === metadata.generation &&
        status?.conditions?.some(({ reason }) => reason === 'ConfigurationPending') === false,
    );
    // The log is long: it is read only where nothing else speaks against.
    const writes = isSeen && (await slots.isIdle()) ? (await requests()).filter(isOwnWrite).length : -1;
    if (writes === -1 || writes !== writesBefore) stillSince = performance.now();
    writesBefore = writes;
    return performance.now() - stillSince > stillMs;
  }
  try {
    await waitUntil('everything to be settled', isSettled, { limitMs: 60_000, everyMs: 200 });
  } catch (error) {
    throw new Error(`${error}\n${await accountOf(world, places, node)}`, { cause: error });
  }
}

/** Writes by one while another had the lease, or was just getting it; of a request it is known between which times it took effect. */
function strangers(all: readonly AuditedRequest[]): string[] {
  const holds = all.filter(one => isLease(one) && isWrite(one) && isGood(one));
  return all.filter(isOwnWrite).flatMap(one => {
    const hold = holds.findLast(({ receivedMs }) => receivedMs <= one.answeredMs);
    return hold?.user === one.user ? [] : [`${said(one)}, but ${hold === undefined ? 'nobody' : said(hold)}`];
  });
}

function said({ user, verb, uri, receivedMs, answeredMs, code }: AuditedRequest): string {
  const times = [receivedMs, answeredMs].map(time => new Date(time).toISOString().slice(14)).join(' to ');
  return `${times} ${user} ${verb} ${uri.split('?')[0]} (${code})`;
}

function longestWithoutRenewalMs(all: readonly AuditedRequest[]): number {
  const times = all.filter(one => isLease(one) && isWrite(one) && isGood(one)).map(({ answeredMs }) => answeredMs);
  return Math.max(...times.map((time, index) => time - (times[index - 1] ?? time)));
}

test('200 changes while operators are killed, stopped and lose their lease: all is as asked, one wrote at a time, no key was lost', async () => {
  await using slots = await start(['operator-a', 'operator-b']);
  const changes = new RandomChanges(world, seededRandom(seed), here);
  const fate = seededRandom(seed + 1);
  const pace = seededRandom(seed + 2);
  let changed = 0;
  let wounds = 0;
  async function change(): Promise<void> {
    for (; changed < changesWanted; changed++) {
      // Spread over the wounds, at no time that an operator could expect.
      const due = (): boolean => wounds >= Math.floor((changed * woundsWanted) / changesWanted);
      await waitUntil('the next wound', due, { limitMs: 60_000 });
      await setTimeout(60 * pace());
      await changes.one();
    }
    await changes.settle();
  }
  async function wound(): Promise<void> {
    try {
      for (; wounds < woundsWanted; wounds++) await slots.wound(fate);
    } finally {
      wounds = woundsWanted;
    }
  }
  const startMs = performance.now();
  await Promise.all([change(), wound()]);
  const quietMs = performance.now();
  await untilSettled(here, slots);
  const settledMs = performance.now() - quietMs;
  await slots.stopAll();
  const all = await requests();
  const { kills, stops, losses } = slots.wounds;
  const done = [...changes.done].map(([name, count]) => `${count} ${name}`).join(', ');
  console.log(`${changed} changes (${done}) in ${seconds(quietMs - startMs)}`);
  console.log(`${kills} kills, ${losses} leases lost, ${stops} stops in order; settled after ${seconds(settledMs)}`);
  console.log(`longest without a renewal ${seconds(longestWithoutRenewalMs(all))}`);
  console.log(`${all.filter(isOwnWrite).length} writes, ${kept.rings} rings of keys`);
  console.log(`largest resident set ${Math.round(slots.largestBytes / 2 ** 20)} MiB`);
  assert.deepEqual(strangers(all), []);
  assert.deepEqual(kept.faults, []);
});

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

test('each policy has the keys that it was given first, one of each algorithm, in its status and in its Secret', async () => {
  const relays = await listOf<KubeObject>(world, mailRelays, { namespace: here.relays });
  const names = new Set(relays.map(({ metadata }) => metadata.name));
  const rings = await listOf<KubeObject & { readonly data: object }>(world, secrets, {
    ...{ namespace: here.relays, labelSelector: policyNameLabel },
  });
  let managed = 0;
  for (const { metadata, spec, status } of await listOf<DomainPolicy & KubeObject>(world, domainPolicies, {
    namespace: here.policies,
  })) {
    const found = rings.filter(ring => ring.metadata.labels?.[policyNameLabel] === metadata.name);
    if (!names.has(spec.relayRef.name) || spec.dkim.type !== 'Managed') continue;
    managed += 1;
    const selectors = (status?.dkim?.keys ?? []).map(({ selector }) => selector).sort();
    assert.deepEqual([...(kept.selectors.get(keyOf(metadata)) ?? [])].sort(), selectors, metadata.name);
    assert.deepEqual(
      status?.dkim?.keys.map(({ algorithm }) => algorithm).sort(),
      [...(spec.dkim.managed?.algorithms ?? [])].sort(),
    );
    assert.deepEqual(
      found.map(({ data }) => Object.keys(data).sort()),
      [[...selectors.map(selector => `${selector}.pem`), 'keys.json'].sort()],
    );
  }
  assert.ok(managed > 0);
});

test('a fresh operator finds nothing to write, and makes the very same of the same input', async () => {
  const before_ = (await requests()).length;
  const said_ = await statuses();
  await using slots = await start(['operator-c']);
  await waitUntil('it to lead', async () =>
    (await requests()).slice(before_).some(one => isLease(one) && isWrite(one)),
  );
  await untilSettled(here, slots);
  const writes = (await requests()).slice(before_).filter(isOwnWrite);
  assert.deepEqual(await statuses(), said_);
  assert.deepEqual(writes.map(said), []);
  await copyInput();
  await untilSettled(twins, slots);
  const [after_, fresh] = [await normalForm(world, here), await normalForm(world, twins)];
  assert.ok(fresh.size > 20, `${fresh.size} objects`);
  const differing = differences(after_, fresh);
  if (differing.length > 0)
    throw new Error([...differing, await accountOf(world, here, node), await accountOf(world, twins, node)].join('\n'));
  console.log(`${fresh.size} objects alike`);
  await slots.stopAll();
});

async function statuses(): Promise<unknown[]> {
  return (await storedIn(world, here)).map(({ kind, metadata, status }) => ({ kind, name: metadata.name, status }));
}

/** The same once more in other namespaces: Secrets of users, relays, and the policies that name them. */
async function copyInput(): Promise<void> {
  const users_ = await listOf<KubeObject>(world, secrets, {
    ...{ namespace: here.relays, labelSelector: '!app.kubernetes.io/managed-by' },
  });
  for (const { metadata, ...rest } of users_)
    await world.create(secrets, {
      ...{ ...rest, apiVersion: 'v1', kind: 'Secret' },
      metadata: { name: metadata.name, namespace: twins.relays },
    });
  for (const { apiVersion, kind, metadata, spec } of await listOf<MailRelay & KubeObject>(world, mailRelays, {
    namespace: here.relays,
  })) {
    const copy = { apiVersion, kind, metadata: { name: metadata.name, namespace: twins.relays }, spec };
    await world.create(mailRelays, copy as KubeObject);
  }
  for (const { apiVersion, kind, metadata, spec } of await listOf<DomainPolicy & KubeObject>(world, domainPolicies, {
    namespace: here.policies,
  })) {
    const relayRef = { ...spec.relayRef, namespace: twins.relays };
    const copy = { apiVersion, kind, metadata: { name: metadata.name, namespace: twins.policies } };
    await world.create(domainPolicies, { ...copy, spec: { ...spec, relayRef } } as KubeObject);
  }
}
