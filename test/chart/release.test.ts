import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { domainPolicies, mailRelays, persistentVolumeClaims } from '../../operator/cluster/kinds.ts';
import { createClient } from '../../operator/kube/client.ts';
import { isNotFound } from '../../operator/kube/errors.ts';
import { type KubeObject, type ObjectName, pathOf, type Resource } from '../../operator/kube/object.ts';
import { drainFinalizer, skipDrainAnnotation } from '../../operator/labels.ts';
import { systemClock } from '../../relay/clock.ts';
import { type ApiWorld, namespaces, never, startWorld } from '../apiserver/api-world.ts';
import { domainPolicy, mailRelay } from '../crds/objects.ts';
import { startNodeStandIn } from '../support/node-stand-in.ts';
import { type OperatorProcess, startOperatorProcess } from '../support/operator-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';
import { chartFolder, fullname, type HelmRun, mustHelm, release, releaseNamespace, type Values } from './helm.ts';
import { type HookRunner, startHookRunner } from './hook-runner.ts';
import { serviceAccountConnection } from './service-account.ts';

const definitions: Resource = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  isNamespaced: false,
};
const deployments: Resource = { apiVersion: 'apps/v1', kind: 'Deployment', plural: 'deployments', isNamespaced: true };
const statefulSets: Resource = { ...deployments, kind: 'StatefulSet', plural: 'statefulsets' };
const jobs: Resource = { apiVersion: 'batch/v1', kind: 'Job', plural: 'jobs', isNamespaced: true };
const root = new URL('../..', import.meta.url).pathname;

let world: ApiWorld;
let hooks: HookRunner;
const hookEnvironment: Record<string, string> = {};

before(async () => {
  world = await startWorld({ controllerManager: true });
  await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: releaseNamespace } });
  hooks = startHookRunner(world, hookEnvironment);
});
after(async () => {
  await hooks[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

async function helmTo(command: string, args: readonly string[] = [], values: Values = {}): Promise<string> {
  const run: HelmRun = { kubeconfigFile: world.server.kubeconfigFile, timeoutMs: 100_000 };
  const takesValues = command === 'install' || command === 'upgrade';
  const all = [command, release, ...args, '--namespace', releaseNamespace];
  return await mustHelm(all, takesValues ? { ...run, values } : run);
}

async function isThere(resource: Resource, name: ObjectName): Promise<boolean> {
  try {
    await world.get(resource, name);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

interface Conditioned extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly reason: string }[] };
}

const areEstablished = async (): Promise<boolean> => {
  const { status } = await world.get<Conditioned>(definitions, { name: 'mailrelays.postroad.dev' });
  return (status?.conditions ?? []).some(({ type }) => type === 'Established');
};

/** With its finalizer, as the operator leaves it. */
async function createRelay(name: string): Promise<void> {
  await waitUntil('the definitions to be served', areEstablished);
  const relay = mailRelay({}, { name, namespace: 'mail' }) as unknown as KubeObject;
  await world.create(mailRelays, { ...relay, metadata: { ...relay.metadata, finalizers: [drainFinalizer] } });
}

/** A MailRelay gets its pods' workload, and is drained and gone when it is deleted: all by the rights of the chart. */
async function serveRelay(name: string): Promise<void> {
  await createRelay(name);
  await waitUntil(`${name} to have its StatefulSet`, async () =>
    isThere(statefulSets, { namespace: 'mail', name: `${name}-relay` }),
  );
  const relay = { namespace: 'mail', name };
  await waitUntil(`${name} to have its status`, async () => {
    const { status } = await world.get<KubeObject & { readonly status?: MailRelay['status'] }>(mailRelays, relay);
    return status?.configurationRevision !== undefined;
  });
  await world.edit(mailRelays, relay, { metadata: { annotations: { [skipDrainAnnotation]: 'true' } } });
  await world.remove(mailRelays, relay);
  await waitUntil(`${name} to be gone`, async () => !(await isThere(mailRelays, relay)));
}

/** As the pods of the Deployment run: its flags, and its service account. */
async function startDeployed(): Promise<OperatorProcess & AsyncDisposable> {
  interface Deployed extends KubeObject {
    readonly spec: {
      readonly template: { readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[] } };
    };
  }
  const { spec } = await world.get<Deployed>(deployments, { namespace: releaseNamespace, name: fullname });
  const flags = (spec.template.spec.containers[0]?.args ?? []).filter(flag => !flag.startsWith('--http='));
  const account = await serviceAccountConnection(world, { namespace: releaseNamespace, name: fullname });
  const folder = await temporaryFolder();
  const kubeconfigFile = join(folder.path, 'kubeconfig');
  await account.writeKubeconfig(kubeconfigFile);
  return await startOperatorProcess({ kubeconfigFile, flags });
}

async function refusalsOfOperator(): Promise<string[]> {
  const user = `system:serviceaccount:${releaseNamespace}:${fullname}`;
  const requests = (await world.server.auditLog()).filter(request => request.user === user);
  assert.ok(requests.length > 10, 'the operator asked for something');
  return requests.filter(({ code }) => code === 403).map(({ verb, uri }) => `${verb} ${uri}`);
}

test('installed, the operator becomes ready and leads by the rights that the chart gives it; helm test says so', async t => {
  const startMs = performance.now();
  const notes = await helmTo('install', [chartFolder]);
  t.diagnostic(`installed in ${Math.round(performance.now() - startMs)} ms`);
  assert.match(notes, /helm test mailer --namespace postroad-system/);
  await waitUntil('the definitions to be served', areEstablished);
  await using operator = await startDeployed();
  await operator.whenReady();
  await waitUntil('it to lead', async () => (await operator.metric('postroad_operator_leader')) === 1);
  await serveRelay('everywhere');
  assert.deepEqual(await refusalsOfOperator(), []);
  hookEnvironment['OPERATOR_URL'] = operator.url;
  await helmTo('test', ['--timeout', '60s']);
  assert.ok(
    hooks.output.some(line => /^ask-ready: .*200/.test(line)),
    hooks.output.join('\n'),
  );
  assert.ok(
    hooks.output.some(line => line.startsWith('try-relay: a right MailRelay: 201')),
    hooks.output.join('\n'),
  );
  await operator.stop();
  await assert.rejects(helmTo('test', ['--timeout', '60s']), /Failed|failed/, 'control: an operator that is not there');
});

test('upgraded with other values, confined, the operator is ready without a right anywhere else', async () => {
  await helmTo('upgrade', [chartFolder], { relayNamespaces: ['mail'] });
  const before = (await refusalsOfOperator()).length;
  await using operator = await startDeployed();
  await operator.whenReady();
  await waitUntil('it to lead', async () => (await operator.metric('postroad_operator_leader')) === 1);
  await serveRelay('confined');
  assert.deepEqual((await refusalsOfOperator()).slice(before), []);
  const account = await serviceAccountConnection(world, { namespace: releaseNamespace, name: fullname });
  const ask = async (namespace: string): Promise<boolean> => await mayReadSecrets(account.token, namespace);
  assert.equal(await ask('mail'), true);
  assert.equal(await ask(releaseNamespace), false);
  // Killed, it would keep the lease.
  await operator.stop();
});

async function mayReadSecrets(token: string, namespace: string): Promise<boolean> {
  const connection = await world.server.connectionWith({ authorization: `Bearer ${token}` });
  const client = createClient({ connection, clock: systemClock, metrics: world.metrics });
  try {
    const attributes = { namespace, verb: 'list', resource: 'secrets' };
    const { status } = await client.request<{ readonly status: { readonly allowed: boolean } }>({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: attributes },
      },
      signal: AbortSignal.timeout(10_000),
    });
    return status.allowed;
  } finally {
    client.close();
  }
}

test('uninstalled with objects present, all of them stay, and a relay deleted later goes at once', async () => {
  await createRelay('kept');
  await world.create(domainPolicies, domainPolicy({}, { name: 'shop', namespace: 'mail' }) as unknown as KubeObject);
  await helmTo('uninstall', ['--timeout', '80s', '--wait']);
  assert.ok(
    hooks.output.includes('uninstall: mail/kept is released: it runs on without an operator'),
    hooks.output.join('\n'),
  );
  assert.equal(await isThere(deployments, { namespace: releaseNamespace, name: fullname }), false);
  assert.equal(await isThere(jobs, { namespace: releaseNamespace, name: `${fullname}-uninstall` }), false);
  assert.ok(await isThere(mailRelays, { namespace: 'mail', name: 'kept' }));
  assert.ok(await isThere(domainPolicies, { namespace: 'mail', name: 'shop' }));
  await world.remove(mailRelays, { namespace: 'mail', name: 'kept' });
  await waitUntil('the relay to go', async () => !(await isThere(mailRelays, { namespace: 'mail', name: 'kept' })));
});

test('the chart of an earlier commit is upgraded to this one, and takes up definitions that were kept', async () => {
  await using folder = await temporaryFolder();
  const archive = execFileSync('git', ['archive', earlierCommit(), 'charts/postroad'], {
    cwd: root,
    maxBuffer: 64 * 2 ** 20,
  });
  execFileSync('tar', ['-x', '-C', folder.path], { input: archive });
  await helmTo('install', [join(folder.path, 'charts', 'postroad')]);
  await createRelay('older');
  await helmTo('upgrade', [chartFolder], { crds: { keep: false }, uninstall: { drainTimeoutSeconds: 3 } });
  assert.ok(await isThere(mailRelays, { namespace: 'mail', name: 'older' }));
});

/** The chart before its last change, where the history goes back so far. */
function earlierCommit(): string {
  const args = ['log', '-n', '2', '--format=%H', '--', 'charts/postroad'];
  const commit = execFileSync('git', args, { cwd: root }).toString().trim().split('\n').at(-1);
  assert.ok(commit, 'a commit has a chart');
  return commit;
}

test('definitions that are not kept go with all objects, though no operator is there to drain them', async () => {
  await createRelay('left');
  const startMs = performance.now();
  await helmTo('uninstall', ['--timeout', '80s', '--wait']);
  assert.ok(performance.now() - startMs < 80_000);
  assert.ok(
    hooks.output.some(line => line.startsWith('uninstall: mail/left is released: what it had not')),
    hooks.output.join('\n'),
  );
  await untilUndefined();
});

async function untilUndefined(): Promise<void> {
  for (const name of ['mailrelays.postroad.dev', 'domainpolicies.postroad.dev']) {
    await waitUntil(`${name} to go`, async () => !(await isThere(definitions, { name })));
  }
}

test('definitions that are not kept wait for the operator, which delivers what a relay holds before it goes', async () => {
  await using node = await startNodeStandIn({ server: world.server, mode: 'reports' });
  await helmTo('install', [chartFolder], { crds: { keep: false }, uninstall: { drainTimeoutSeconds: 60 } });
  await using operator = await startDeployed();
  await operator.whenReady();
  const relay = { namespace: 'mail', name: 'holds' };
  await createRelay(relay.name);
  await waitUntil('it to be ready', async () => (await reasonOf(relay, 'Ready')) === 'Ready', { limitMs: 30_000 });
  const pod = node.reporter('mail/holds-relay-0');
  pod.queued.Waiting = 3;
  const before_ = hooks.output.length;
  const uninstalled = helmTo('uninstall', ['--timeout', '80s', '--wait']);
  await waitUntil('it to drain', async () => (await reasonOf(relay, 'Draining')) === 'Draining', { limitMs: 30_000 });
  assert.ok(await isThere(deployments, { namespace: releaseNamespace, name: fullname }), 'its operator is there');
  pod.queued.Waiting = 0;
  await uninstalled;
  assert.deepEqual(hooks.output.slice(before_), [
    'uninstall: 1 MailRelays are deleted, and may drain for 60 s',
    'uninstall: all MailRelays are gone',
  ]);
  assert.equal(await isThere(persistentVolumeClaims, { namespace: 'mail', name: 'queue-holds-relay-0' }), false);
  await untilUndefined();
});

async function reasonOf(relay: ObjectName, type: string): Promise<string | undefined> {
  const { status } = await world.get<Conditioned>(mailRelays, relay);
  return status?.conditions?.find(one => one.type === type)?.reason;
}

test('control: without the hook all of this hangs, until the finalizer is taken off as the docs say', async () => {
  await helmTo('install', [chartFolder], { crds: { keep: false }, uninstall: { hook: false } });
  await createRelay('stuck');
  await helmTo('uninstall');
  const { metadata } = await world.get(definitions, { name: 'mailrelays.postroad.dev' });
  assert.notEqual(metadata.deletionTimestamp, undefined);
  await waitUntil('the relay to be deleted', async () => {
    const relay = await world.get(mailRelays, { namespace: 'mail', name: 'stuck' });
    return relay.metadata.deletionTimestamp !== undefined;
  });
  await world.edit(mailRelays, { namespace: 'mail', name: 'stuck' }, { metadata: { finalizers: null } });
  await waitUntil('the definitions to go', async () => !(await isThere(definitions, metadata)));
});

test('crds/ alone can be applied, serves, and is handed to the chart later', async () => {
  await untilUndefined();
  for (const name of ['mailrelays.postroad.dev', 'domainpolicies.postroad.dev']) {
    await world.client.request({
      ...{ method: 'PATCH', path: pathOf(definitions, { name }), signal: never },
      body: parse(readFileSync(join(root, 'crds', `${name}.yaml`), 'utf8')),
      query: { fieldManager: 'kubectl', fieldValidation: 'Strict' },
      contentType: 'application/apply-patch+yaml',
    });
  }
  await createRelay('first');
  await helmTo('install', [chartFolder], { crds: { enabled: false } });
  await helmTo('upgrade', [chartFolder, '--take-ownership'], { crds: { enabled: true } });
  const { metadata } = await world.get(definitions, { name: 'mailrelays.postroad.dev' });
  assert.equal(metadata.annotations?.['helm.sh/resource-policy'], 'keep');
  assert.equal(metadata.annotations?.['meta.helm.sh/release-name'], release);
  assert.ok(await isThere(mailRelays, { namespace: 'mail', name: 'first' }));
});
