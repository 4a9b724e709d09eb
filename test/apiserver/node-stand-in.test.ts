/**
 * What later tests rely on: a relay's pods come, take up their files, and go, as on a real node.
 * In one file because its tests share one API server, which takes longer to start than most of them.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { KubeClient } from '../../operator/kube/client.ts';
import { isNotFound } from '../../operator/kube/errors.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { createReflector } from '../../operator/kube/reflector.ts';
import { createLastWords } from '../../operator/mailrelay/last-words.ts';
import { podReportOf } from '../../operator/mailrelay/pod-report.ts';
import { systemClock } from '../../relay/clock.ts';
import { configMaps, quiet } from '../operator/kube/fakes.ts';
import { podKind, podSelector } from '../support/node-stand-in/api.ts';
import { PodLife } from '../support/node-stand-in/pod-life.ts';
import type { Workload } from '../support/node-stand-in/workload.ts';
import { type NodeStandIn, startNodeStandIn } from '../support/node-stand-in.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, namespaces, startWorld } from './api-world.ts';

const statefulSets: Resource = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  plural: 'statefulsets',
  isNamespaced: true,
};
const secrets: Resource = { apiVersion: 'v1', kind: 'Secret', plural: 'secrets', isNamespaced: true };
const claims: Resource = {
  ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', plural: 'persistentvolumeclaims' },
  isNamespaced: true,
};

let world: ApiWorld;

before(async () => {
  world = await startWorld({ controllerManager: true });
  for (const name of ['reports', 'runs']) {
    await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    // Its own controller makes it in time; pods need it at once.
    await waitUntil(`the service account of ${name}`, () =>
      world
        .get(
          { apiVersion: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', isNamespaced: true },
          { namespace: name, name: 'default' },
        )
        .then(
          () => true,
          () => false,
        ),
    );
  }
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

interface Pod extends KubeObject {
  readonly status: {
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

const labels = {
  'app.kubernetes.io/name': 'postroad',
  'app.kubernetes.io/component': 'relay',
  'app.kubernetes.io/instance': 'outbound',
};

function relayJson(revision: string, users = '/etc/postroad/users-1.json'): string {
  const listener = { bindPort: 2025, bindAddress: '::', protocol: 'SMTP', tls: 'Disabled', authentication: 'Optional' };
  return JSON.stringify({
    ...{ revision, namespace: 'mail', name: 'outbound', hostname: 'relay.test' },
    listeners: [{ name: 'smtp', port: 25, plaintextAuthentication: 'Allowed', ...listener }],
    http: { bindAddress: '::', bindPort: 8080 },
    clients: { usersDir: users, trustedNetworks: ['127.0.0.0/8'] },
    route: { type: 'Capture' },
    policies: [],
  });
}

async function createRelay(namespace: string, replicas: number): Promise<void> {
  const config = { name: 'outbound-relay-config', namespace };
  await world.create(configMaps, {
    ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: config },
    ...{ data: { 'relay.json': relayJson('one') } },
  } as KubeObject);
  await world.create(statefulSets, statefulSet(namespace, replicas));
}

async function createFiles(namespace: string): Promise<void> {
  await world.create(secrets, {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'outbound-relay-files-0', namespace } },
    ...{ data: { 'users-1.json': Buffer.from('{"ann":"secret"}').toString('base64') } },
  } as KubeObject);
}

function statefulSet(namespace: string, replicas: number): KubeObject {
  const projected = {
    sources: [
      { configMap: { name: 'outbound-relay-config', items: [{ key: 'relay.json', path: 'relay.json' }] } },
      { secret: { name: 'outbound-relay-files-0' } },
    ],
  };
  const container = {
    name: 'relay',
    image: 'postroad',
    args: ['--config=/etc/postroad/relay.json', '--data-dir=/var/lib/postroad', '--grace-seconds=5'],
    volumeMounts: [
      { name: 'config', mountPath: '/etc/postroad' },
      { name: 'queue', mountPath: '/var/lib/postroad' },
    ],
  };
  const spec = {
    ...{
      replicas,
      serviceName: 'outbound-headless',
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: labels },
    },
    template: { metadata: { labels }, spec: { containers: [container], volumes: [{ name: 'config', projected }] } },
    volumeClaimTemplates: [
      {
        metadata: { name: 'queue' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
      },
    ],
  };
  const metadata = { name: 'outbound-relay', namespace };
  return { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata, spec } as KubeObject;
}

async function readyPod(namespace: string, name: string): Promise<Pod> {
  return await waitUntil(
    `${namespace}/${name} to be ready`,
    async () => {
      const pod = await world.get<Pod>(podKind, { namespace, name }).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
        return undefined;
      });
      const ready = pod?.status.conditions?.find(({ type }) => type === 'Ready');
      return ready?.status === 'True' ? pod : undefined;
    },
    { limitMs: 30_000 },
  );
}

async function isGone(namespace: string, name: string, uid: string | undefined): Promise<boolean> {
  return await world.get<Pod>(podKind, { namespace, name }).then(
    pod => pod.metadata.uid !== uid,
    () => true,
  );
}

async function reportOf(pod: Pod): Promise<ReturnType<typeof podReportOf>> {
  const answer = await fetch(`http://${pod.status.podIP}:8080/metrics`, { headers: { connection: 'close' } });
  return podReportOf(await answer.text());
}

async function setConfig(namespace: string, text: string): Promise<void> {
  await world.edit(configMaps, { namespace, name: 'outbound-relay-config' }, { data: { 'relay.json': text } });
}

async function nudge(namespace: string, name: string, revision: string): Promise<void> {
  const annotations = { 'postroad.dev/configuration-revision': revision };
  await world.edit(podKind, { namespace, name }, { metadata: { annotations } });
}

async function withNode(mode: 'reports' | 'runs', work: (node: NodeStandIn) => Promise<void>): Promise<void> {
  const node = await startNodeStandIn({ server: world.server, mode, namespace: mode });
  try {
    await work(node);
  } finally {
    await node[Symbol.asyncDispose]();
  }
}

test('a pod that reports: waits for its Secret, has a volume, takes up what it is nudged to, not what is half there, and goes', async () => {
  await withNode('reports', async node => {
    await createRelay('reports', 2);
    await waitUntil('both pods to be bound', () => node.pods().length === 2);
    await createFiles('reports');
    const [one, two] = await Promise.all(
      ['outbound-relay-0', 'outbound-relay-1'].map(each => readyPod('reports', each)),
    );
    assert.ok(one !== undefined && two !== undefined);
    assert.notEqual(one.status.podIP, two.status.podIP);
    assert.deepEqual(await reportOf(one), {
      revision: 'one',
      queuedRecipients: 0,
      openSessions: 0,
      deliveries: 0,
      storeTroubles: [],
    });
    await waitUntil('the claim to be bound', async () => {
      const claim = await world.get<Pod & { status: { phase: string } }>(claims, {
        namespace: 'reports',
        name: 'queue-outbound-relay-0',
      });
      return claim.status.phase === 'Bound';
    });

    await setConfig('reports', relayJson('two', '/etc/postroad/users-2.json'));
    await nudge('reports', 'outbound-relay-0', 'two');
    await waitUntil('it to look', () => node.pod('reports/outbound-relay-0').refreshes === 1);
    assert.equal((await reportOf(one))?.revision, 'one', 'the configuration names a file that is not there');
    await world.edit(
      secrets,
      { namespace: 'reports', name: 'outbound-relay-files-0' },
      { stringData: { 'users-2.json': '{}' } },
    );
    assert.equal((await reportOf(two))?.revision, 'one', 'nobody told it');
    await nudge('reports', 'outbound-relay-0', 'two again');
    await waitUntil('the nudged pod to have it', async () => (await reportOf(one))?.revision === 'two');

    node.pod('reports/outbound-relay-1').hold();
    await nudge('reports', 'outbound-relay-1', 'two');
    node.reporter('reports/outbound-relay-1').queued.Held = 7;
    assert.deepEqual(await reportOf(two), {
      revision: 'one',
      queuedRecipients: 7,
      openSessions: 0,
      deliveries: 0,
      storeTroubles: [],
    });
    node.pod('reports/outbound-relay-1').release();
    await waitUntil('the pod that was held to have it', async () => (await reportOf(two))?.revision === 'two');

    node.reporter('reports/outbound-relay-1').setReady(false);
    await waitUntil('it not to be ready', async () => {
      const pod = await world.get<Pod>(podKind, { namespace: 'reports', name: 'outbound-relay-1' });
      return pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'False');
    });

    await world.remove(podKind, { namespace: 'reports', name: 'outbound-relay-0' });
    await waitUntil('the deleted pod to go', () => isGone('reports', 'outbound-relay-0', one.metadata.uid));
    const again = await readyPod('reports', 'outbound-relay-0');
    assert.notEqual(again.metadata.uid, one.metadata.uid);
    assert.equal((await reportOf(again))?.revision, 'two');
    await assert.rejects(reportOf(one), 'nothing answers at the old address');
  });
});

/** Names of pods that are known to have left nothing in their queues, as each went. */
async function withLastWords(namespace: string, work: (emptied: string[]) => Promise<void>): Promise<void> {
  const { client, metrics } = world;
  const common = { client, metrics, clock: systemClock, random: Math.random, log: quiet };
  const reflector = createReflector<KubeObject>({
    ...common,
    resource: podKind,
    namespace,
    labelSelector: podSelector,
  });
  const words = createLastWords(() => true);
  const emptied: string[] = [];
  reflector.onChange(({ type, object }) => {
    words.seen(object);
    if (type === 'deleted') emptied.push(...words.emptied(`${namespace}/outbound`));
  });
  const stopping = new AbortController();
  const running = reflector.run(stopping.signal);
  try {
    await reflector.whenSynced(stopping.signal);
    await work(emptied);
  } finally {
    stopping.abort();
    await running;
  }
}

test('a pod that runs the relay: reloads what it is nudged to, comes back after a crash, stops in order, and its queue outlives it', async () => {
  await withNode('runs', async node => {
    await createRelay('runs', 1);
    await createFiles('runs');
    const name = 'outbound-relay-0';
    const one = await readyPod('runs', name);
    assert.equal((await reportOf(one))?.revision, 'one');

    await setConfig('runs', relayJson('two'));
    await nudge('runs', name, 'two');
    await waitUntil('the relay to reload', async () => (await reportOf(one))?.revision === 'two');

    const relay = node.relay(`runs/${name}`);
    const pid = relay.pid;
    await relay.crash();
    await waitUntil('it to come back', () => relay.restarts === 1 && relay.pid !== pid);
    await readyPod('runs', name);

    await withLastWords('runs', async emptied => {
      await world.remove(podKind, { namespace: 'runs', name });
      await waitUntil('the deleted pod to go', () => isGone('runs', name, one.metadata.uid), { limitMs: 20_000 });
      await waitUntil('its last word', () => emptied.length > 0);
      assert.deepEqual(emptied, [name]);
    });
    assert.match(relay.log, /"msg":"stopped"/);
    const again = await readyPod('runs', name);
    assert.equal(node.relay(`runs/${name}`).dataDir, relay.dataDir, 'on the same volume');
    assert.equal((await reportOf(again))?.revision, 'two');
  });
});

test('a pod that is nudged while it starts looks again at once', async () => {
  const started = Promise.withResolvers<void>();
  let looks = 0;
  const workload: Workload = {
    ...{ restarts: 0, pollMs: undefined },
    start: () => started.promise,
    async refresh() {
      looks += 1;
    },
    isReady: async () => true,
    stop: async () => undefined,
    kill: async () => undefined,
  };
  const client = { request: async () => ({}) } as unknown as KubeClient;
  const metadata = { name: 'outbound-relay-0', namespace: 'mail', uid: '1' };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName: 'here', containers: [] } };
  const life = new PodLife(
    { client, node: 'here', refreshMs: 60_000, lagMs: () => 0 },
    pod,
    '127.0.0.1',
    () => workload,
  );
  await new Promise(setImmediate);
  life.changed({ ...pod, metadata: { ...metadata, annotations: { told: 'two' } } });
  started.resolve();
  await waitUntil('it to look', () => looks === 1, { limitMs: 2000 });
  await life.abandon();
});
