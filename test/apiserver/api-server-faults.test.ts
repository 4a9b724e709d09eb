import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { domainPolicies, mailRelays, resourceOf, secrets } from '../../operator/cluster/kinds.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { createUptime } from '../../operator/kube/uptime.ts';
import { policyNameLabel } from '../../operator/labels.ts';
import { configMaps } from '../operator/kube/fakes.ts';
import type { FaultyProxy } from '../support/faulty-proxy.ts';
import { JumpingClock } from '../support/jumping-clock.ts';
import type { OperatorProcess } from '../support/operator-process.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { serviceAccountKind, tokenFile } from '../support/service-account.ts';
import { waitUntil } from '../support/wait-until.ts';
import { listOf } from './chaos/random-changes.ts';
import { type FaultWorld, startFaultWorld } from './fault-world.ts';

/** Of the API server's absence. */
const outageSeconds = Number(process.env['POSTROAD_TEST_OUTAGE_SECONDS'] ?? 7);
const random = seededRandom(1);
const largestBytes = 400 * 2 ** 20;
let world: FaultWorld;
let proxy: FaultyProxy;
let operator: OperatorProcess;
let turns = 0;

before(async () => {
  world = await startFaultWorld();
  proxy = await world.proxy();
  operator = await world.process(proxy);
  await world.relay('outbound');
  await world.policy('shop', 'outbound');
  await world.untilProgrammed('shop');
});
after(async () => {
  await operator[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const newBounces = (): Readonly<Record<string, unknown>> => ({ bounces: { to: `turn-${++turns}@example.com` } });
const all = ['GET', 'PATCH', 'PUT', 'POST', 'DELETE'];

async function rings(policy: string): Promise<string[][]> {
  const list = { namespace: 'mail', labelSelector: `${policyNameLabel}=${policy}` };
  const found = await listOf<KubeObject & { readonly data: object }>(world.api, secrets, list);
  return found.map(({ data }) => Object.keys(data).sort());
}

/** Nothing ended, nothing grew without bound, no key was lost or made twice. */
async function assertSound(policy: string): Promise<void> {
  const bytes = (await operator.metric('process_resident_memory_bytes')) ?? 0;
  assert.ok(bytes > 0 && bytes < largestBytes, `${Math.round(bytes / 2 ** 20)} MiB`);
  // Who watches over the keys was cut off as well.
  const seen = (): ReadonlySet<string> => world.kept.selectors.get(`mail/${policy}`) ?? new Set();
  await waitUntil('the keys to be seen', () => seen().size >= 2);
  assert.deepEqual(world.kept.faults, []);
  const selectors = seen();
  assert.equal(selectors.size, 2, `keys ever named: ${[...selectors].join(', ')}`);
  assert.deepEqual(await rings(policy), [[...[...selectors].map(one => `${one}.pem`), 'keys.json'].sort()]);
}

async function tell(t: TestContext, what: string, ms: number): Promise<void> {
  const bytes = (await operator.metric('process_resident_memory_bytes')) ?? 0;
  t.diagnostic(`${what}: ${seconds(ms)}, ${Math.round(bytes / 2 ** 20)} MiB`);
}

test('an API server that is away for longer than the lease', async t => {
  await world.api.server.stopServer();
  await setTimeout(outageSeconds * 1000);
  const startMs = performance.now();
  await world.api.server.startServer();
  const upMs = performance.now();
  await world.carriedOut('shop', newBounces());
  t.diagnostic(`away for ${seconds(upMs - startMs + outageSeconds * 1000)}`);
  await tell(t, 'carried out after its return', performance.now() - upMs);
  await assertSound('shop');
});

test('what happened while the operator was cut off, and was compacted away since (410)', async t => {
  const config = { namespace: 'mail', name: 'outbound-relay-config' };
  proxy.isDown = true;
  await world.policy('meanwhile', 'outbound');
  await world.api.remove(configMaps, config);
  await world.api.edit(domainPolicies, { namespace: 'mail', name: 'shop' }, { spec: newBounces() });
  await world.api.server.compact();
  // One that started after all this has no memory of before it.
  await world.api.server.stopServer();
  await world.api.server.startServer();
  proxy.isDown = false;
  const startMs = performance.now();
  for (const name of ['shop', 'meanwhile']) await world.untilProgrammed(name);
  await world.api.get(configMaps, config);
  await tell(t, 'carried out after the connection was back', performance.now() - startMs);
  const gone = await operator.metric('postroad_operator_watch_failures_total{kind="DomainPolicy",fault="410"}');
  assert.ok((gone ?? 0) > 0, 'the compaction was met');
  await assertSound('shop');
  await assertSound('meanwhile');
});

test('somebody who writes the same objects all the time, and conflicts (409) for half of the writes', async t => {
  proxy.refusal = { status: 409, share: 0.5, methods: ['PATCH', 'DELETE'], random };
  const before_ = proxy.refused;
  let isOver = false;
  let meddled = 0;
  async function meddle(): Promise<void> {
    const relays = resourceOf({ apiVersion: 'v1', kind: 'ConfigMap' });
    for (; !isOver && meddled < 2000; meddled++) {
      const [ring] = await listOf(world.api, secrets, {
        namespace: 'mail',
        labelSelector: `${policyNameLabel}=argued`,
      });
      const metadata = {
        annotations: { 'example.com/turn': String(meddled) },
        labels: { 'app.kubernetes.io/part-of': 'x' },
      };
      await world.api.edit(relays, { namespace: 'mail', name: 'outbound-relay-config' }, { metadata });
      if (ring !== undefined) await world.api.edit(secrets, ring.metadata, { metadata });
    }
  }
  const meddling = meddle().catch((error: unknown) => error);
  const startMs = performance.now();
  await world.policy('argued', 'outbound');
  await world.untilProgrammed('argued');
  await world.carriedOut('shop', newBounces());
  await tell(t, 'carried out under conflicts', performance.now() - startMs);
  isOver = true;
  assert.equal(await meddling, undefined);
  proxy.refusal = undefined;
  t.diagnostic(`${meddled} meddlings, ${proxy.refused - before_} conflicts`);
  assert.ok(proxy.refused > before_);
  await assertSound('argued');
});

test('a server that asks for patience (429), and answers late', async t => {
  proxy.refusal = { status: 429, share: 0.4, methods: all, retryAfterSeconds: 1, random };
  proxy.delayMs = 50;
  const before_ = proxy.refused;
  proxy.cut();
  const startMs = performance.now();
  await world.policy('patient', 'outbound');
  await world.untilProgrammed('patient', 90_000);
  await tell(t, `carried out in spite of ${proxy.refused - before_} refusals`, performance.now() - startMs);
  proxy.refusal = undefined;
  proxy.delayMs = 0;
  await assertSound('patient');
});

test('connections that break again and again', async t => {
  const startMs = performance.now();
  await world.policy('broken', 'outbound');
  for (let i = 0; i < 10; i++) {
    await setTimeout(100 * random());
    proxy.cut();
  }
  await world.untilProgrammed('broken');
  await tell(t, 'carried out through 10 breaks', performance.now() - startMs);
  await assertSound('broken');
});

/** By the Ready condition, of what the API server has. */
async function readyStates(resource: Resource): Promise<Readonly<Record<string, number>>> {
  const found = await listOf<KubeObject & { readonly status?: DomainPolicy['status'] }>(world.api, resource, {
    namespace: 'mail',
  });
  const statuses = found.map(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status);
  const count = (wanted: string): number => statuses.filter(status => (status ?? 'Unknown') === wanted).length;
  return { Ready: count('True'), NotReady: count('False'), Unknown: count('Unknown') };
}

test('the same process lived through all of it, tells of it in its metrics, and stops in order', async t => {
  assert.equal((await operator.get('/healthz')).status, 200);
  const watches = (await operator.metric('postroad_operator_watches_total{kind="DomainPolicy"}')) ?? 0;
  t.diagnostic(`${watches} watches of policies`);
  // Away twice, broken ten times.
  assert.ok(watches > 5, `${watches} watches`);
  for (const resource of [mailRelays, domainPolicies]) {
    const series = (state: string): string => `postroad_operator_resources{kind="${resource.kind}",state="${state}"}`;
    t.diagnostic(`${resource.plural}: ${JSON.stringify(await readyStates(resource))}`);
    await waitUntil(`the numbers of ${resource.plural} by state`, async () => {
      const states = Object.entries(await readyStates(resource));
      assert.ok(states.some(([, count]) => count > 0));
      const told = await Promise.all(states.map(([state]) => operator.metric(series(state))));
      return states.every(([, count], index) => told[index] === count);
    });
  }
  const [exit] = await Promise.all([operator.exited, operator.stop()]);
  assert.deepEqual(exit, { code: 0, signal: null });
});

test('a watch that goes silent is found out, and what it did not tell is seen', async t => {
  const clock = new JumpingClock();
  const uptime = createUptime({ steadyMs: () => clock.now(), wallMs: () => clock.now() });
  await using held = await world.within({ connection: world.connectionBy(proxy), clock, uptime });
  await waitUntil('it to be at work', () => held.operator.isLeading);
  await world.carriedOut('shop', newBounces());
  await waitUntil('its watches', () => proxy.silence(/domainpolicies/) > 0);
  await world.api.edit(domainPolicies, { namespace: 'mail', name: 'shop' }, { spec: newBounces() });
  clock.jump(101_000);
  const startMs = performance.now();
  await world.untilProgrammed('shop');
  t.diagnostic(`carried out ${seconds(100_000 + performance.now() - startMs)} after the silence began`);
});

test('a token that ends is read again: what was asked for meanwhile is carried out', async t => {
  const account = { namespace: 'mail', name: 'postroad-operator' };
  await world.api.create(serviceAccountKind, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
  await allowAll(account.name);
  const token = await tokenFile(world.api.server, account, join(world.folder, 'token'));
  const connection = { ...token.connection, server: proxy.url };
  const clock = new JumpingClock();
  await using held = await world.within({ connection, clock });
  await waitUntil('it to be at work', () => held.operator.isLeading);
  await world.carriedOut('shop', newBounces());
  await token.spoil();
  // It is read again after a minute at the latest.
  clock.jump(61_000);
  // Watches go on under the token they began with.
  proxy.cut();
  await world.api.edit(domainPolicies, { namespace: 'mail', name: 'shop' }, { spec: newBounces() });
  await waitUntil('refusals', async () => {
    const text = await (await fetch(`http://127.0.0.1:${held.operator.http.port}/metrics`)).text();
    return /watch_failures_total\{kind="DomainPolicy",fault="401"\} [1-9]/.test(text);
  });
  await token.renew();
  clock.jump(10_000);
  const startMs = performance.now();
  await world.untilProgrammed('shop');
  t.diagnostic(`carried out ${seconds(performance.now() - startMs)} after there was a good token`);
});

async function allowAll(name: string): Promise<void> {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const binding = { apiVersion, kind: 'ClusterRoleBinding', plural: 'clusterrolebindings', isNamespaced: false };
  await world.api.create(binding, {
    ...{ apiVersion, kind: 'ClusterRoleBinding', metadata: { name } },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name, namespace: 'mail' }],
  } as KubeObject);
}

for (const [kind, path] of [
  ['Secrets', /secrets/],
  ['policies', /domainpolicies/],
] as const) {
  test(`a leader whose watch of ${kind} is silent makes no key twice, and throws none away`, async () => {
    const name = `late-${kind.toLowerCase()}`;
    await using other = await world.proxy();
    const lease = name;
    await using first = await world.within({ connection: world.api.server.admin, lease });
    await waitUntil('the first to lead', () => first.operator.isLeading);
    await using second = await world.within({ connection: world.connectionBy(other), lease });
    const ready = async (): Promise<boolean> =>
      (await fetch(`http://127.0.0.1:${second.operator.http.port}/readyz`)).status === 200;
    await waitUntil('the second to be ready', ready);
    await waitUntil('its watch', () => other.silence(path) > 0);
    await world.policy(name, 'outbound');
    await world.untilProgrammed(name);
    await first[Symbol.asyncDispose]();
    await waitUntil('the second to lead', () => second.operator.isLeading);
    // By these it gets to look at the policy, or at the keys of one that it does not know.
    await world.api.edit(domainPolicies, { namespace: 'mail', name }, { spec: newBounces() });
    const [ring] = await listOf(world.api, secrets, { namespace: 'mail', labelSelector: `${policyNameLabel}=${name}` });
    if (ring !== undefined) await world.api.edit(secrets, ring.metadata, { metadata: { labels: { touched: 'yes' } } });
    // A change that it carries out after these.
    await world.api.remove(configMaps, { namespace: 'mail', name: 'outbound-ca' });
    await waitUntil('it to be at work', async () => {
      const found = await listOf(world.api, configMaps, { namespace: 'mail' });
      return found.some(({ metadata }) => metadata.name === 'outbound-ca');
    });
    other.cut();
    await world.untilProgrammed(name);
    const selectors = world.kept.selectors.get(`mail/${name}`) ?? new Set();
    assert.equal(selectors.size, 2, [...selectors].join(', '));
    assert.deepEqual(world.kept.faults, []);
    assert.equal((await rings(name)).length, 1);
  });
}
