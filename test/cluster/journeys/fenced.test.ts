/** What docs/how-to/security.md promises, on a real API server and node: the fence around images holds, pods need nothing that the restricted standard forbids, roles say who writes what, and NetworkPolicies let through what is needed and nothing else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { waitUntil } from '../../support/wait-until.ts';
import { type Cluster, release, releaseNamespace } from '../cluster.ts';
import { commandOf, inBackground } from '../documented.ts';
import { journey } from '../journey.ts';
import { startEnforcer } from '../network/enforcer.ts';
import {
  addressOf,
  enforcesPolicies,
  openPort,
  type PodName,
  runIn,
  startOnlookers,
  stranger,
  untilReached,
  watcher,
} from '../network/onlookers.ts';
import { outsideDnsAddress } from '../node/layout.ts';
import { applyQuickstart, publishRecords, sendLetter } from '../outbound.ts';
import { startInternet } from '../outside/internet.ts';

const page = 'docs/how-to/security.md';
const image = 'registry.example.com/mine:1';
const restricted = 'pod-security.kubernetes.io/enforce=restricted';
const waiting = { limitMs: 60_000, everyMs: 200 };
const sender = ['mail A 203.0.113.10'];
const relay: PodName = { namespace: 'mail', name: 'outbound-relay-0' };
const service = 'outbound.mail.svc.cluster.local';
const ports = [25, 587, 465];
const listeners = ports.map(port => `${service}:${port}`);
const apiServer = 'kubernetes.default.svc.cluster.local:443';
const nameServer = `${outsideDnsAddress}:53`;
/** Somebody of the Internet. */
const outside = { host: '198.51.100.25', port: 25 };

journey(
  'with the admission policy of the documentation a relay with an image of its own is refused, any other runs under the restricted standard, and NetworkPolicies that are enforced let through what they should',
  async (cluster, t) => {
    const { kubectl } = cluster;
    await using fence = new AsyncDisposableStack();
    const internet = fence.use(await startInternet());
    await internet.serve('example.com', sender);
    // A user's cluster has a network of its own.
    if (cluster.node !== undefined) fence.use(await startEnforcer(cluster));
    await startOnlookers(cluster);
    const isEnforced = await enforcesPolicies(cluster);
    assert.ok(isEnforced || cluster.node === undefined, 'NetworkPolicies are enforced');
    await cluster.shell(
      `kubectl create namespace ${releaseNamespace} && kubectl label namespace ${releaseNamespace} ${restricted}`,
    );
    await cluster.installChart({
      'operator.replicas': '1',
      'monitoring.namespaces[0]': watcher.namespace,
      'networkPolicy.apiServerPorts[0]': (
        await cluster.shell(await commandOf(page, 'kubectl get endpointslices'))
      ).trim(),
    });
    if (isEnforced) await operatorStartsFenced(cluster);
    await cluster.helm('test', release, '--namespace', releaseNamespace);
    const manifest = await commandOf(page, 'apiVersion: admissionregistration.k8s.io/v1');
    await kubectl.must(['apply', '-f', '-'], manifest);
    // It is the cluster's, which no journey's namespace takes along.
    fence.defer(async () => void (await kubectl.must(['delete', '--ignore-not-found', '-f', '-'], manifest)));

    await waitUntil('the fence to stand', async () => (await relayWith(cluster, { image })).code !== 0, waiting);
    for (const template of [{ image }, { priorityClassName: 'system-cluster-critical' }]) {
      const { code, stderr } = await relayWith(cluster, template);
      assert.equal(code, 1, JSON.stringify(template));
      assert.match(stderr, /denied request: the image and the priority of relays are the platform's/);
    }
    assert.equal((await relayWith(cluster, { nodeSelector: { 'kubernetes.io/os': 'linux' } })).code, 0);

    await applyQuickstart(cluster, {});
    // Behind its fence the operator looks at DNS, writes what it saw to the API server, and asks the relay whether it signs.
    await Promise.all([publishRecords(cluster, internet, sender), startRestricted(cluster)]);
    const pod = await cluster.get<RelayPod>('pod', 'outbound-relay-0', '-n', 'mail');
    assert.equal(pod.spec.automountServiceAccountToken, false);
    assert.deepEqual(
      pod.spec.volumes.filter(
        volume => 'projected' in volume && JSON.stringify(volume).includes('serviceAccountToken'),
      ),
      [],
    );
    const patch = JSON.stringify({ spec: { template: { image } } });
    const edited = await kubectl.run(['-n', 'mail', 'patch', 'mailrelay', 'outbound', '--type', 'merge', '-p', patch]);
    assert.match(edited.stderr, /denied request/, 'nor by an edit');

    await sendLetter(cluster, { to: 'captured@example.net', subject: 'captured' });
    await using forwarding = new AsyncDisposableStack();
    const running = await inBackground(await commandOf(page, 'kubectl -n mail port-forward pod/outbound-relay-0'));
    forwarding.defer(async () => void (await running.stop('SIGTERM')));
    const captured = await waitUntil(
      'the captured mail',
      async () => {
        const text = await (await fetch('http://127.0.0.1:8080/captured')).text();
        return text.includes('captured@example.net') && text;
      },
      waiting,
    );
    assert.ok(captured.length > 0);
    const throughService = await kubectl.run([
      'get',
      '--raw',
      '/api/v1/namespaces/mail/services/outbound:http/proxy/captured',
    ]);
    assert.notEqual(throughService.code, 0, 'and nobody else sees it');
    await assertRoles(cluster);
    if (isEnforced) await assertNetworkFences(cluster);
    t.diagnostic(
      isEnforced
        ? 'NetworkPolicies are enforced, and let through what they should'
        : 'the network of this cluster enforces no NetworkPolicies: what they let through is not shown',
    );
    t.diagnostic(
      'denied: an image, a priority class, an edit to an image; allowed: the quickstart, under the restricted standard',
    );
  },
);

interface RelayPod {
  readonly spec: {
    readonly automountServiceAccountToken?: boolean;
    readonly volumes: readonly Readonly<Record<string, unknown>>[];
  };
}

/** Its container begins anew in a pod whose fence stands: of the connections that it needs none was there before. */
async function operatorStartsFenced(cluster: Cluster): Promise<void> {
  const { namespace, name } = await operatorPod(cluster);
  const peer = `${await addressOf(cluster, stranger)}:${openPort}`;
  await untilReached(cluster, { namespace, name }, { open: [apiServer, nameServer], shut: [peer] });
  const before = await startsOf(cluster, name);
  const first = await cluster.node?.processOf(namespace, name);
  // Where the node is not ours nobody can do it so.
  if (first === undefined) return;
  process.kill(first, 'SIGTERM');
  await waitUntil(
    'the operator to be ready again',
    async () => {
      const { starts, isReady } = await startsOf(cluster, name);
      return isReady && starts > before.starts;
    },
    waiting,
  );
}

async function startsOf({ get }: Cluster, name: string): Promise<{ starts: number; isReady: boolean }> {
  const { status } = await get<OperatorPod>('pod', name, '-n', releaseNamespace);
  const [container] = status.containerStatuses;
  return { starts: container?.restartCount ?? 0, isReady: container?.ready === true };
}

interface OperatorPod {
  readonly status: {
    readonly containerStatuses: readonly { readonly restartCount: number; readonly ready: boolean }[];
  };
}

async function operatorPod({ get }: Cluster): Promise<PodName> {
  const labels = 'app.kubernetes.io/name=postroad,app.kubernetes.io/component=operator';
  const { items } = await get<{ items: { metadata: { name: string } }[] }>(
    'pods',
    '-n',
    releaseNamespace,
    '-l',
    labels,
  );
  assert.equal(items.length, 1);
  return { namespace: releaseNamespace, name: items[0]?.metadata.name ?? '' };
}

/** Sentence by sentence, as the page has it. */
async function assertNetworkFences(cluster: Cluster): Promise<void> {
  await using host = createServer(socket => socket.on('error', () => undefined).end());
  await once(host.listen(outside.port, outside.host), 'listening');
  const operator = await operatorPod(cluster);
  const [operatorHttp, relayHttp, peer] = await Promise.all(
    [operator, relay, stranger].map(async pod => `${await addressOf(cluster, pod)}:${openPort}`),
  );
  assert.ok(operatorHttp !== undefined && relayHttp !== undefined && peer !== undefined);
  const world = `${outside.host}:${outside.port}`;
  await Promise.all([
    untilReached(cluster, stranger, { open: [...listeners, world], shut: [operatorHttp, relayHttp] }),
    untilReached(cluster, watcher, { open: [...listeners, operatorHttp, relayHttp, peer, world], shut: [] }),
    untilReached(cluster, operator, {
      open: [apiServer, nameServer, relayHttp],
      shut: [...listeners, peer, world],
    }),
    untilReached(cluster, relay, { open: [peer, world, apiServer], shut: [] }),
  ]);

  const { data } = await cluster.get<{ data: { 'ca.crt': string } }>('configmap', 'outbound-ca', '-n', 'mail');
  const sent = await runIn(cluster, stranger, 'send.ts', [service, data['ca.crt'], ...ports.map(String)]);
  assert.equal(sent.code, 0, sent.stderr);
}

/** The relay's pod, anew in a namespace that enforces the restricted standard. */
async function startRestricted({ kubectl }: Cluster): Promise<void> {
  await kubectl.must(['label', 'namespace', 'mail', restricted]);
  await kubectl.must(['delete', 'pod', relay.name, '-n', relay.namespace]);
  await kubectl.must(['-n', 'mail', 'rollout', 'status', 'statefulset/outbound-relay', '--timeout=90s']);
}

/** Whether the API server would take it. */
async function relayWith({ kubectl }: Cluster, template: object): ReturnType<Cluster['kubectl']['run']> {
  const patch = JSON.stringify({ metadata: { namespace: 'default' }, spec: { template } });
  const local = ['patch', '--local', '-f', 'examples/quickstart/relay.yaml', '--type', 'merge', '-p', patch];
  const object = await kubectl.must([...local, '-o', 'json']);
  return await kubectl.run(['create', '--dry-run=server', '-f', '-'], object);
}

/** By the aggregated roles of the chart: who edits a namespace edits its relays and policies; who views it does not, and sees no keys. */
async function assertRoles({ kubectl }: Cluster): Promise<void> {
  for (const role of ['edit', 'view']) {
    await kubectl.must(['-n', 'mail', 'create', 'serviceaccount', role]);
    await kubectl.must([
      '-n',
      'mail',
      'create',
      'rolebinding',
      role,
      `--clusterrole=${role}`,
      `--serviceaccount=mail:${role}`,
    ]);
  }
  const may = async (role: string, ...what: readonly string[]): Promise<boolean> =>
    (await kubectl.run(['auth', 'can-i', ...what, '-n', 'mail', `--as=system:serviceaccount:mail:${role}`])).code === 0;
  assert.equal(await may('edit', 'create', 'mailrelays'), true);
  assert.equal(await may('edit', 'patch', 'domainpolicies'), true);
  assert.equal(await may('edit', 'patch', 'mailrelays', '--subresource=status'), false);
  assert.equal(await may('view', 'list', 'domainpolicies'), true);
  assert.equal(await may('view', 'create', 'domainpolicies'), false);
  assert.equal(await may('view', 'get', 'secrets'), false);
}
