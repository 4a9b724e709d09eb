import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { domainPolicies, mailRelays, namespaces } from '../../operator/cluster/kinds.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { domainPolicy, mailRelay } from '../crds/objects.ts';
import { type OperatorProcess, startOperatorProcess } from '../support/operator-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, startWorld } from './api-world.ts';
import { installOwnCrds } from './install-crds.ts';

const leases: Resource = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  plural: 'leases',
  isNamespaced: true,
};
let world: ApiWorld;

before(async () => {
  world = await startWorld();
  await installOwnCrds(world);
  await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other' } });
  for (const namespace of ['mail', 'other']) {
    await world.create(mailRelays, mailRelay({}, { name: 'outbound', namespace }) as unknown as KubeObject);
    await world.create(domainPolicies, domainPolicy({}, { name: 'shop', namespace }) as unknown as KubeObject);
  }
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

async function start(lease: string, flags: readonly string[] = [], name?: string): Promise<OperatorProcess> {
  const { kubeconfigFile } = world.server;
  const all = ['--lease-name', lease, ...flags];
  return await startOperatorProcess({ kubeconfigFile, flags: all, ...(name !== undefined && { name }) });
}

async function holder(lease: string): Promise<string | undefined> {
  const { spec } = await world.get<KubeObject & { readonly spec: { readonly holderIdentity?: string } }>(leases, {
    namespace: 'mail',
    name: lease,
  });
  return spec.holderIdentity;
}

const known = (operator: OperatorProcess, kind: string): Promise<number | undefined> =>
  operator.metric(`postroad_operator_cached_objects{kind="${kind}"}`);

test('it becomes ready, leads, and shows what it sees, zeros included', async t => {
  const startMs = performance.now();
  await using operator = await start('first');
  await operator.whenReady();
  t.diagnostic(`ready after ${Math.round(performance.now() - startMs)} ms`);
  await waitUntil('it to lead', async () => (await operator.metric('postroad_operator_leader')) === 1);
  assert.equal((await operator.get('/healthz')).status, 200);
  assert.equal(await operator.metric('postroad_operator_synced'), 1);
  assert.equal(await known(operator, 'MailRelay'), 2);
  assert.equal(await known(operator, 'DomainPolicy'), 2);
  assert.equal(await operator.metric('postroad_operator_lease_losses_total'), 0);
  assert.equal(await operator.metric('postroad_operator_events_total{result="Dropped"}'), 0);
  const relays = (state: string): Promise<number | undefined> =>
    operator.metric(`postroad_operator_resources{kind="MailRelay",state="${state}"}`);
  assert.equal(await relays('Ready'), 0, 'there is no node that could run their pods');
  await waitUntil('it to say so of both', async () => (await relays('NotReady')) === 2);
  const rss = await operator.metric('process_resident_memory_bytes');
  t.diagnostic(`${Math.round((rss ?? 0) / 2 ** 20)} MiB`);
  const failures = (await operator.get('/metrics')).text
    .split('\n')
    .filter(line => line.startsWith('postroad_operator_watch_failures_total{'));
  assert.ok(
    failures.some(line => line.includes('kind="MailRelay",fault="Unreachable"')),
    'each kind has its zeros',
  );
  const counted = failures.filter(line => !line.endsWith(' 0'));
  assert.deepEqual(counted, [], 'kinds of others that are not installed are no failures');
});

test('on SIGTERM it gives its lease back, ends with 0, and a second one leads at once', async t => {
  await using first = await start('second', [], 'one');
  await waitUntil('one to lead', async () => (await first.metric('postroad_operator_leader')) === 1);
  await using other = await start('second', [], 'two');
  await other.whenReady();
  assert.equal(await other.metric('postroad_operator_leader'), 0);
  assert.match((await holder('second')) ?? '', /^one_/);
  const stopMs = performance.now();
  assert.deepEqual(await first.stop(), { code: 0, signal: null });
  await waitUntil('two to lead', async () => (await other.metric('postroad_operator_leader')) === 1);
  const tookMs = performance.now() - stopMs;
  t.diagnostic(`taken over ${Math.round(tookMs)} ms after SIGTERM`);
  assert.ok(tookMs < 5000, 'well before the lease of 15 s could run out');
  assert.match((await holder('second')) ?? '', /^two_/);
});

test('confined to a namespace, it asks for relays and what belongs to them there alone', async () => {
  const before = (await world.server.auditLog()).length;
  await using operator = await start('third', ['--relay-namespaces', 'other']);
  await operator.whenReady();
  assert.equal(await known(operator, 'MailRelay'), 1);
  assert.equal(await known(operator, 'DomainPolicy'), 2);
  // Of a watch the log tells when it ends, and the other operators' watches may end now.
  const lists = (await world.server.auditLog())
    .slice(before)
    .filter(({ userAgent, verb }) => verb === 'list' && userAgent.startsWith('postroad-operator/'));
  assert.ok(lists.length > 15);
  const everywhere = new Set(
    lists.filter(({ uri }) => !uri.includes('/namespaces/')).map(({ uri }) => uri.split('?')[0]),
  );
  assert.deepEqual([...everywhere].sort(), ['/api/v1/namespaces', '/apis/postroad.dev/v1alpha1/domainpolicies']);
});

test('an API server that refuses it leaves it alive, not ready, and saying why', async () => {
  await using folder = await temporaryFolder();
  const kubeconfigFile = join(folder.path, 'stranger.kubeconfig');
  const config = JSON.parse(await readFile(world.server.kubeconfigFile, 'utf8'));
  await writeFile(kubeconfigFile, JSON.stringify({ ...config, users: [{ name: 'user', user: { token: 'nobody' } }] }));
  await using operator = await startOperatorProcess({ kubeconfigFile });
  const { status, text } = await operator.get('/readyz');
  assert.equal(status, 503);
  assert.match(text, /^not read yet: MailRelay, DomainPolicy, /);
  assert.equal((await operator.get('/healthz')).status, 200);
  const refused = 'postroad_operator_watch_failures_total{kind="MailRelay",fault="401"}';
  await waitUntil('the refusal to be counted', async () => ((await operator.metric(refused)) ?? 0) > 0);
  assert.deepEqual(await operator.stop(), { code: 0, signal: null });
});
