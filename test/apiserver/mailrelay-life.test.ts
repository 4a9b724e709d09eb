/** In one file because its tests share one API server, which takes longer to start than most of them. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailRelays, persistentVolumeClaims, resourceOf, secrets } from '../../operator/cluster/kinds.ts';
import type { KubeObject, ObjectName, Resource } from '../../operator/kube/object.ts';
import { configMaps } from '../operator/kube/fakes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { never } from './api-world.ts';
import { place, type RelayWorld, reasonOf, startRelayWorld } from './mailrelay-world.ts';

const statefulSets = resourceOf({ apiVersion: 'apps/v1', kind: 'StatefulSet' });
const services = resourceOf({ apiVersion: 'v1', kind: 'Service' });
const events = place('events.k8s.io/v1', 'Event', 'events');
const storageClasses: Resource = {
  ...place('storage.k8s.io/v1', 'StorageClass', 'storageclasses'),
  isNamespaced: false,
};
let world: RelayWorld;

before(async () => {
  world = await startRelayWorld();
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

const named = (name: string): ObjectName & { namespace: string } => ({ namespace: 'mail', name });

async function untilGone(resource: Resource, name: ObjectName): Promise<void> {
  await waitUntil(
    `${resource.kind} ${name.name} is gone`,
    async () => (await world.api.find(resource, name)) === undefined,
    {
      limitMs: 40_000,
      everyMs: 50,
    },
  );
}

async function running(name: string, spec = {}): Promise<void> {
  await world.createRelay({ replicas: 1, ...spec }, { name });
  await world.untilReason(named(name), 'Ready', 'Ready');
}

/** Makes a change that gives another configuration; resolves when the pods run it. */
async function untilTakenUp(name: string, change: () => Promise<void>): Promise<void> {
  const before_ = (await world.relay(named(name))).status?.configurationRevision;
  await change();
  await waitUntil(`${name} to run it`, async () => {
    const { status } = await world.relay(named(name));
    return status?.configurationRevision !== before_ && status?.appliedRevision === status?.configurationRevision;
  });
}

async function claims(name: string): Promise<string[]> {
  const list = await world.api.client.request<{ items: KubeObject[] }>({
    method: 'GET',
    path: '/api/v1/namespaces/mail/persistentvolumeclaims',
    signal: never,
  });
  return list.items.map(({ metadata }) => metadata.name).filter(one => one.startsWith(`queue-${name}-relay-`));
}

async function eventReasons(name: string): Promise<string[]> {
  const list = await world.api.client.request<{
    items: (KubeObject & { reason: string; regarding: KubeObject['metadata'] })[];
  }>({
    method: 'GET',
    path: `/apis/${events.apiVersion}/namespaces/mail/events`,
    signal: never,
  });
  return list.items.filter(({ regarding }) => regarding.name === name).map(({ reason }) => reason);
}

test('a deleted relay delivers what it holds, then goes with all that was its own, an empty volume too', async () => {
  await running('drained');
  const pod = world.node.reporter('mail/drained-relay-0');
  pod.queued.Waiting = 3;
  await world.api.remove(mailRelays, named('drained'));
  const relay = await world.untilReason(named('drained'), 'Draining', 'Draining');
  assert.equal(reasonOf(relay.status, 'Ready'), 'Terminating');
  await untilGone(services, named('drained'));
  assert.ok((await world.api.find(statefulSets, named('drained-relay'))) !== undefined, 'its pods stay');
  pod.queued.Waiting = 0;
  const startMs = performance.now();
  await untilGone(mailRelays, named('drained'));
  console.log(`gone ${Math.round(performance.now() - startMs)} ms after its queue was empty`);
  for (const [resource, name] of [
    [statefulSets, 'drained-relay'],
    [secrets, 'drained-relay-keys'],
    [configMaps, 'drained-relay-config'],
  ] as const)
    await untilGone(resource, named(name));
  await untilGone(persistentVolumeClaims, named('queue-drained-relay-0'));
  assert.deepEqual(await claims('drained'), []);
});

test('the annotation that skips draining lets a relay go with mail in its queue; the volume is kept, and an Event says so', async () => {
  await running('skipped');
  world.node.reporter('mail/skipped-relay-0').queued.Waiting = 3;
  await world.api.remove(mailRelays, named('skipped'));
  await world.untilReason(named('skipped'), 'Draining', 'Draining');
  await world.api.edit(mailRelays, named('skipped'), {
    metadata: { annotations: { 'postroad.dev/skip-drain': 'true' } },
  });
  await untilGone(mailRelays, named('skipped'));
  assert.deepEqual(await claims('skipped'), ['queue-skipped-relay-0']);
  await waitUntil('the Event', async () => (await eventReasons('skipped')).includes('VolumesKept'));
});

test('draining ends when its time is over', async () => {
  await running('timed-out', { shutdown: { drainTimeoutSeconds: 5 } });
  world.node.reporter('mail/timed-out-relay-0').queued.Waiting = 3;
  const startMs = performance.now();
  await world.api.remove(mailRelays, named('timed-out'));
  await untilGone(mailRelays, named('timed-out'));
  assert.ok(performance.now() - startMs > 3000, 'not before');
  assert.deepEqual(await claims('timed-out'), ['queue-timed-out-relay-0']);
});

test('a smaller relay keeps the pod that goes until its queue is empty, and its volume as long', async () => {
  await running('smaller', { replicas: 2 });
  const pod = world.node.reporter('mail/smaller-relay-1');
  pod.queued.Waiting = 1;
  await world.api.edit(mailRelays, named('smaller'), { spec: { replicas: 1 } });
  await world.untilReason(named('smaller'), 'Draining', 'Draining');
  assert.deepEqual((await claims('smaller')).sort(), ['queue-smaller-relay-0', 'queue-smaller-relay-1']);
  pod.queued.Waiting = 0;
  await world.untilReason(named('smaller'), 'Draining', 'NotDraining');
  await waitUntil(
    'one pod is left',
    () => world.node.pods().filter(({ key }) => key.startsWith('mail/smaller-')).length === 1,
  );
  await untilGone(persistentVolumeClaims, named('queue-smaller-relay-1'));
  assert.deepEqual(await claims('smaller'), ['queue-smaller-relay-0']);
});

test('what a pod takes after it was last asked is not deleted with its volume, nor is that of one that ends without a word', async () => {
  await running('late', { replicas: 3 });
  world.node.reporter('mail/late-relay-1').takenAtLast = 1;
  world.node.reporter('mail/late-relay-2').hasLastWord = false;
  await world.api.edit(mailRelays, named('late'), { spec: { replicas: 1 } });
  await waitUntil(
    'one pod is left',
    () => world.node.pods().filter(({ key }) => key.startsWith('mail/late-')).length === 1,
    { limitMs: 40_000 },
  );
  await world.untilReason(named('late'), 'Draining', 'NotDraining');
  await world.untilStill();
  const all = ['queue-late-relay-0', 'queue-late-relay-1', 'queue-late-relay-2'];
  assert.deepEqual((await claims('late')).sort(), all);
  world.node.reporter('mail/late-relay-0').takenAtLast = 1;
  await world.api.remove(mailRelays, named('late'));
  await untilGone(mailRelays, named('late'));
  assert.deepEqual((await claims('late')).sort(), all);
  await waitUntil('the Event', async () => (await eventReasons('late')).includes('VolumesKept'));
});

test('a smaller relay whose time for draining is over keeps the volume of the pod that went with mail', async () => {
  await running('hurried', { replicas: 2, shutdown: { drainTimeoutSeconds: 5 } });
  world.node.reporter('mail/hurried-relay-1').queued.Waiting = 1;
  await world.api.edit(mailRelays, named('hurried'), { spec: { replicas: 1 } });
  await world.untilReason(named('hurried'), 'Draining', 'Draining');
  await waitUntil(
    'one pod is left',
    () => world.node.pods().filter(({ key }) => key.startsWith('mail/hurried-')).length === 1,
  );
  await world.untilReason(named('hurried'), 'Draining', 'NotDraining');
  assert.deepEqual((await claims('hurried')).sort(), ['queue-hurried-relay-0', 'queue-hurried-relay-1']);
});

interface Claim extends KubeObject {
  readonly spec: { readonly resources: { readonly requests: { readonly storage: string } } };
  readonly status?: { readonly capacity?: { readonly storage: string } };
}

test('a larger volume grows where its storage class allows it; where not, a condition says so, and the relay takes up other changes as before', async () => {
  for (const [name, allowVolumeExpansion] of [
    ['elastic', true],
    ['rigid', false],
  ] as const) {
    const storageClass = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name } };
    const fields = { provisioner: 'example.com/none', allowVolumeExpansion };
    await world.api.create(storageClasses, { ...storageClass, ...fields } as KubeObject);
  }
  const volume = { size: '1Gi', storageClassName: 'elastic' };
  await running('grows', { replicas: 2, queue: { type: 'Volume', volume } });
  const pods = world.node.pods().filter(({ key }) => key.startsWith('mail/grows-'));
  const rigid = { type: 'Volume', volume: { ...volume, storageClassName: 'rigid' } };
  await running('stiff', { queue: rigid, policies: { namespaces: { from: 'All' } } });
  for (const name of ['grows', 'stiff']) {
    await world.api.edit(mailRelays, named(name), { spec: { queue: { volume: { size: '2Gi' } } } });
  }
  for (const name of ['queue-grows-relay-0', 'queue-grows-relay-1']) {
    await waitUntil(`${name} to have grown`, async () => {
      const { status } = await world.api.get<Claim>(persistentVolumeClaims, named(name));
      return status?.capacity?.storage === '2Gi';
    });
  }
  await world.untilReason(named('grows'), 'Ready', 'Ready');
  const after_ = world.node.pods().filter(({ key }) => key.startsWith('mail/grows-'));
  assert.deepEqual(after_.map(({ uid }) => uid).sort(), pods.map(({ uid }) => uid).sort(), 'no pod was made anew');
  // The stand-in looks at its files once a minute, unless it is told: what was refused kept nobody from telling it.
  await untilTakenUp('stiff', async () => {
    await world.createPolicy({ relayRef: { name: 'stiff', namespace: 'mail' }, domains: ['stiff.example.com'] });
  });
  const stiff = await world.untilReason(named('stiff'), 'Progressing', 'VolumeExpansionRefused');
  assert.equal(reasonOf(stiff.status, 'Ready'), 'Ready', 'mail flows');
  await waitUntil('the Event', async () => (await eventReasons('stiff')).includes('VolumeExpansionRefused'));
  const { spec } = await world.api.get<Claim>(persistentVolumeClaims, named('queue-stiff-relay-0'));
  assert.equal(spec.resources.requests.storage, '1Gi');
});

test('an object of somebody else under one of our names is left alone, named, and not asked for again', async () => {
  await world.api.create(configMaps, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: named('taken-ca'),
    data: { theirs: '1' },
  } as KubeObject);
  await world.createRelay({ replicas: 1 }, { name: 'taken' });
  const relay = await world.untilReason(named('taken'), 'Accepted', 'NameTaken');
  const accepted = relay.status?.conditions?.find(({ type }) => type === 'Accepted');
  assert.match(accepted?.message ?? '', /ConfigMap taken-ca/);
  assert.deepEqual((await world.api.get<KubeObject & { data: object }>(configMaps, named('taken-ca'))).data, {
    theirs: '1',
  });
  await world.untilReason(named('taken'), 'Programmed', 'ConfigurationApplied');
  await world.untilStill();
  const reads = async (): Promise<number> =>
    (await world.operatorRequests()).filter(({ verb, name }) => verb === 'get' && name === 'taken-ca').length;
  const before_ = await reads();
  await world.api.edit(mailRelays, named('taken'), { metadata: { labels: { touched: 'yes' } } });
  await world.untilStill();
  assert.equal(await reads(), before_, 'it is not asked for in each pass');
});

test('a relay that is made again at once under its name has it as soon as garbage collection has been there', async () => {
  await world.createRelay({ replicas: 0 }, { name: 'again' });
  const first = await world.untilReason(named('again'), 'Ready', 'Parked');
  const { controllerManager = 0 } = world.api.server.processes;
  process.kill(controllerManager, 'SIGSTOP');
  try {
    await world.api.remove(mailRelays, named('again'));
    await untilGone(mailRelays, named('again'));
    await world.createRelay({ replicas: 0 }, { name: 'again' });
    await world.untilReason(named('again'), 'Accepted', 'NameTaken');
  } finally {
    process.kill(controllerManager, 'SIGCONT');
  }
  const startMs = performance.now();
  const relay = await world.untilReason(named('again'), 'Ready', 'Parked');
  const tookMs = Math.round(performance.now() - startMs);
  console.log(`ready ${tookMs} ms after garbage collection went on`);
  assert.notEqual(relay.metadata.uid, first.metadata.uid);
  assert.ok(tookMs < 20_000, `${tookMs} ms`);
});

test('a Secret that is not there is a condition and no loop of errors; once it is there, the relay goes on', async () => {
  await world.createRelay({ replicas: 1, clients: { usersSecretRef: { name: 'users' } } }, { name: 'lacking' });
  const relay = await world.untilReason(named('lacking'), 'ResolvedRefs', 'SecretNotFound');
  assert.equal(reasonOf(relay.status, 'Programmed'), 'ConfigurationRejected');
  await world.untilStill();
  const before_ = (await world.operatorRequests()).length;
  await world.untilStill();
  const meanwhile = (await world.operatorRequests()).slice(before_).filter(({ verb }) => verb !== 'watch');
  assert.deepEqual(meanwhile, []);
  await world.api.create(secrets, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: named('users'),
    data: { demo: Buffer.from('long enough').toString('base64') },
  } as KubeObject);
  await world.untilReason(named('lacking'), 'Ready', 'Ready');
});

test('a paused relay is left as it is', async () => {
  await running('paused');
  await world.api.edit(mailRelays, named('paused'), { spec: { reconciliation: 'Paused' } });
  await world.untilReason(named('paused'), 'Paused', 'Paused');
  await world.api.remove(configMaps, named('paused-ca'));
  await world.untilStill();
  assert.equal(await world.api.find(configMaps, named('paused-ca')), undefined);
  await world.api.edit(mailRelays, named('paused'), { spec: { reconciliation: 'Active' } });
  await waitUntil('it is made again', async () => (await world.api.find(configMaps, named('paused-ca'))) !== undefined);
});

test('a relay without replicas is parked, and wakes when it is scaled', async () => {
  await world.createRelay({ replicas: 0 }, { name: 'parked' });
  await world.untilReason(named('parked'), 'Progressing', 'RolledOut');
  await world.api.edit(mailRelays, named('parked'), { spec: { replicas: 1 } });
  await world.untilReason(named('parked'), 'Ready', 'Ready');
});

test('a new policy is programmed within a second of its creation, with every pod asked in time', async () => {
  await running('quick', { policies: { namespaces: { from: 'All' } } });
  const times: number[] = [];
  for (let index = 0; index < 10; index++) {
    const startMs = performance.now();
    await untilTakenUp('quick', async () => {
      await world.createPolicy(
        { relayRef: { name: 'quick', namespace: 'mail' }, domains: [`d${index}.example.com`] },
        { name: `quick-${index}` },
      );
    });
    times.push(Math.round(performance.now() - startMs));
  }
  console.log(`programmed after ${times.sort((a, b) => a - b).join(', ')} ms`);
  assert.ok((times.at(-1) ?? 0) < 1000);
});
