/** What docs/how-to/security.md promises, on a real API server and node: the fence around images holds, pods need nothing that the restricted standard forbids, and roles say who writes what. */
import assert from 'node:assert/strict';
import { waitUntil } from '../../support/wait-until.ts';
import { type Cluster, release, releaseNamespace } from '../cluster.ts';
import { commandOf, inBackground } from '../documented.ts';
import { journey } from '../journey.ts';
import { applyQuickstart, sendLetter } from '../outbound.ts';

const page = 'docs/how-to/security.md';
const image = 'registry.example.com/mine:1';
const restricted = 'pod-security.kubernetes.io/enforce=restricted';
const waiting = { limitMs: 60_000, everyMs: 200 };

journey(
  'with the admission policy of the documentation a relay with an image of its own is refused, and any other passes and runs under the restricted standard',
  async (cluster, t) => {
    const { kubectl } = cluster;
    await cluster.shell(
      `kubectl create namespace ${releaseNamespace} && kubectl label namespace ${releaseNamespace} ${restricted}`,
    );
    await cluster.installChart({ 'operator.replicas': '1' });
    await cluster.helm('test', release, '--namespace', releaseNamespace);
    await using fence = new AsyncDisposableStack();
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
    await kubectl.must(['label', 'namespace', 'mail', restricted]);
    await kubectl.must(['delete', 'pod', 'outbound-relay-0', '-n', 'mail']);
    await kubectl.must(['-n', 'mail', 'rollout', 'status', 'statefulset/outbound-relay', '--timeout=90s']);
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
