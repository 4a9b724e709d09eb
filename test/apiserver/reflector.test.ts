import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { createClient } from '../../operator/kube/client.ts';
import { listAll } from '../../operator/kube/list.ts';
import { pathOf } from '../../operator/kube/object.ts';
import { createReflector, type Reflector, type ReflectorOptions } from '../../operator/kube/reflector.ts';
import { type Clock, systemClock } from '../../relay/clock.ts';
import { type ConfigMap, configMaps, KeptMetrics, quiet } from '../operator/kube/fakes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, never, startWorld } from './api-world.ts';

let world: ApiWorld;

before(async () => {
  world = await startWorld();
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

interface Running {
  readonly reflector: Reflector<ConfigMap>;
  readonly metrics: KeptMetrics;
  readonly changes: string[];
  /** Differs for each test: what it makes carries it as its label. */
  readonly label: string;
  make(name: string, data?: Readonly<Record<string, string>>): Promise<void>;
}

let tests = 0;

async function start(
  t: TestContext,
  options: Partial<ReflectorOptions<ConfigMap>> & { count?: number } = {},
): Promise<Running> {
  const { count = 0, ...rest } = options;
  const label = `test-${++tests}`;
  const make = async (name: string, data: Readonly<Record<string, string>> = {}): Promise<void> => {
    const metadata = { name: `${label}-${name}`, namespace: 'mail', labels: { label } };
    await world.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
  };
  for (let i = 0; i < count; i++) await make(`old-${i}`);
  const metrics = new KeptMetrics();
  const client = createClient({ connection: world.server.admin, clock: systemClock, metrics });
  const common = { client, metrics, clock: systemClock, random: Math.random, log: quiet, resource: configMaps };
  const reflector = createReflector<ConfigMap>({
    ...common,
    namespace: 'mail',
    labelSelector: `label=${label}`,
    ...rest,
  });
  const changes: string[] = [];
  reflector.onChange(({ type, object }) => {
    changes.push(`${type} ${object.metadata.name.slice(label.length + 1)}`);
  });
  const stopping = new AbortController();
  const running = reflector.run(stopping.signal);
  t.after(async () => {
    stopping.abort();
    await running;
    client.close();
  });
  return { reflector, metrics, changes, label, make };
}

const watches = (metrics: KeptMetrics): number => metrics.get('postroad_operator_watches_total', { kind: 'ConfigMap' });
const lists = (metrics: KeptMetrics): number => metrics.get('postroad_operator_lists_total', { kind: 'ConfigMap' });

test('objects are listed in pages and then followed', async t => {
  const { reflector, changes, make, label, metrics } = await start(t, { count: 7, pageSize: 3 });
  await reflector.whenSynced(never);
  assert.equal(reflector.store.size, 7);
  await make('new', { key: 'value' });
  await waitUntil('the new one', () => changes.includes('added new'));
  const name = { namespace: 'mail', name: `${label}-new` };
  await world.edit(configMaps, name, { data: { key: 'other' } });
  await waitUntil('its change', () => changes.includes('updated new'));
  assert.deepEqual(reflector.store.get(`mail/${name.name}`)?.data, { key: 'other' });
  await world.remove(configMaps, name);
  await waitUntil('its end', () => changes.includes('deleted new'));
  assert.equal(lists(metrics), 1);
  const pages = (await world.server.auditLog()).filter(
    ({ verb, uri }) => verb === 'list' && uri.includes(encodeURIComponent(`label=${label}`)),
  );
  assert.equal(pages.length, 3);
});

test('a server that restarts costs no change: what was made meanwhile is told, what was deleted meanwhile too', async t => {
  const { changes, make, label, metrics, reflector } = await start(t, { count: 2 });
  await reflector.whenSynced(never);
  await waitUntil('a watch', () => watches(metrics) > 0);
  await world.server.stopServer();
  await waitUntil('the fault to be seen', () => faults(metrics) > 0);
  await world.server.startServer();
  const startMs = performance.now();
  await make('after');
  await world.remove(configMaps, { namespace: 'mail', name: `${label}-old-0` });
  await waitUntil('both', () => changes.includes('added after') && changes.includes('deleted old-0'), {
    limitMs: 60_000,
  });
  t.diagnostic(`recovered ${((performance.now() - startMs) / 1000).toFixed(1)} s after the API server was back`);
});

function faults(metrics: KeptMetrics): number {
  const labels = (fault: string): number =>
    metrics.get('postroad_operator_watch_failures_total', { kind: 'ConfigMap', fault });
  return labels('Unreachable') + labels('410') + labels('503') + labels('429') + labels('403');
}

test('a resourceVersion that is compacted away (410) is met with a new list; only the differences are told', async t => {
  // While it waits after its first failure, the world goes on without it.
  const gate = Promise.withResolvers<void>();
  let isHeld = false;
  const clock: Clock = {
    now: systemClock.now,
    async sleep(ms, signal) {
      if (isHeld && ms < 2000) await gate.promise;
      await systemClock.sleep(Math.min(ms, 10_000), signal);
    },
  };
  const { changes, make, label, metrics, reflector } = await start(t, { count: 3, clock });
  await reflector.whenSynced(never);
  await waitUntil('a watch', () => watches(metrics) > 0);
  isHeld = true;
  await world.server.stopServer();
  await waitUntil('the fault to be seen', () => faults(metrics) > 0);
  await world.server.startServer();
  await make('meanwhile');
  await world.edit(configMaps, { namespace: 'mail', name: `${label}-old-1` }, { data: { a: 'b' } });
  await world.remove(configMaps, { namespace: 'mail', name: `${label}-old-2` });
  await world.server.compact();
  // A server that started after all this has no memory of before it.
  await world.server.stopServer();
  await world.server.startServer();
  isHeld = false;
  gate.resolve();
  await waitUntil('the differences', () => changes.length === 6, { limitMs: 60_000 });
  assert.deepEqual(changes.slice(3).sort(), ['added meanwhile', 'deleted old-2', 'updated old-1']);
  assert.equal(metrics.get('postroad_operator_watch_failures_total', { kind: 'ConfigMap', fault: '410' }), 1);
  assert.equal(lists(metrics), 2);
});

test('a page asked for after a compaction is refused (410), and the list begun anew', async t => {
  const { label, reflector } = await start(t, { count: 5 });
  await reflector.whenSynced(never);
  let pages = 0;
  const client = {
    ...world.client,
    async request<T>(request: Parameters<typeof world.client.request>[0]): Promise<T> {
      pages += 1;
      if (pages === 2) {
        await world.edit(configMaps, { namespace: 'mail', name: `${label}-old-0` }, { data: { a: 'b' } });
        await world.server.compact();
        await world.server.stopServer();
        await world.server.startServer();
      }
      return await world.client.request<T>(request);
    },
  };
  const selection = {
    resource: configMaps,
    namespace: 'mail',
    labelSelector: `label=${label}`,
    fieldSelector: undefined,
  };
  const found = await listAll<ConfigMap>({ ...selection, client, signal: never, pageSize: 2, most: 100 });
  assert.equal(found.length, 5);
  assert.equal(pages, 5, 'one page, one that was refused, three of the second list');
});

test('a token that expires is read again, and nothing is lost', async t => {
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', isNamespaced: true };
  await world.create(account, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'reader', namespace: 'mail' },
  });
  await allowReading();
  const first = await world.server.connectionWith({ authorization: 'Bearer not-a-token' });
  let good: string | undefined;
  let reads = 0;
  const connection = {
    ...first,
    async credentials() {
      reads += 1;
      const { tls } = await first.credentials();
      return { tls, headers: { authorization: `Bearer ${good ?? 'expired'}` } };
    },
  };
  const metrics = new KeptMetrics();
  const client = createClient({ connection, clock: systemClock, metrics });
  const backoff = { firstMs: 20, longestMs: 100 };
  const { reflector } = await start(t, { client, metrics, backoff, count: 1 });
  await waitUntil(
    'refusals',
    () => metrics.get('postroad_operator_watch_failures_total', { kind: 'ConfigMap', fault: '401' }) >= 2,
  );
  assert.equal(reflector.isSynced, false);
  const path = pathOf(account, { namespace: 'mail', name: 'reader', subresource: 'token' });
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 600 } };
  const answer = await world.client.request<{ status: { token: string } }>({
    method: 'POST',
    path,
    body,
    signal: never,
  });
  good = answer.status.token;
  await reflector.whenSynced(never);
  assert.equal(reflector.store.size, 1);
  assert.ok(reads >= 3);
  client.close();
});

async function allowReading(): Promise<void> {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const role = { apiVersion, kind: 'Role', plural: 'roles', isNamespaced: true };
  const binding = { apiVersion, kind: 'RoleBinding', plural: 'rolebindings', isNamespaced: true };
  const metadata = { name: 'reader', namespace: 'mail' };
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }];
  await world.create(role, { apiVersion, kind: 'Role', metadata, rules } as never);
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' };
  const subjects = [{ kind: 'ServiceAccount', name: 'reader', namespace: 'mail' }];
  await world.create(binding, { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects } as never);
}

test('a watch on which nothing happens gets a bookmark before the server ends it, and goes on without a list', async t => {
  const limits = { silenceMs: 100_000, shortestSeconds: 6, longestSeconds: 6 };
  const { metrics, reflector, label } = await start(t, { limits });
  await reflector.whenSynced(never);
  // Not selected by it; but a server that has seen no change since it filled its cache sends no bookmarks, and may fill it after this one.
  const metadata = { name: `${label}-other`, namespace: 'mail', labels: { label: 'other' } };
  await world.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata });
  const fresh = (): number => metrics.get('postroad_operator_cache_fresh_timestamp_seconds', { kind: 'ConfigMap' });
  const listedSeconds = fresh();
  // Sent two seconds before the end of a watch, which a busy server may miss: then the next watch has one.
  let changes = 0;
  await waitUntil(
    'a bookmark',
    async () => {
      changes += 1;
      await world.edit(configMaps, metadata, { data: { changes: String(changes) } });
      return fresh() > listedSeconds;
    },
    { limitMs: 30_000, everyMs: 1000 },
  );
  const seen = watches(metrics);
  await waitUntil('the next watch', () => watches(metrics) > seen, { limitMs: 30_000 });
  assert.equal(faults(metrics), 0);
  assert.equal(lists(metrics), 1);
});
