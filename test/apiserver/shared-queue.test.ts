/** The life of a relay whose pods share a queue in Redis. In one file because its tests share one API server. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailRelays, persistentVolumeClaims, pods, resourceOf, secrets } from '../../operator/cluster/kinds.ts';
import type { KubeObject, ObjectName, Resource } from '../../operator/kube/object.ts';
import { mintAuthority } from '../../operator/mailrelay/certificate.ts';
import { configMaps } from '../operator/kube/fakes.ts';
import type { Reporter } from '../support/node-stand-in/reporter.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type RelayWorld, reasonOf, startRelayWorld } from './mailrelay-world.ts';

type Fields = Readonly<Record<string, unknown>>;

const deployments = resourceOf({ apiVersion: 'apps/v1', kind: 'Deployment' });
const autoscalers = resourceOf({ apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' });
const deletionCost = 'controller.kubernetes.io/pod-deletion-cost';
const redis = { type: 'Single', addresses: ['redis.data:6379'], durability: 'Fsync' };
let world: RelayWorld;

before(async () => {
  world = await startRelayWorld();
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

const named = (name: string): ObjectName & { namespace: string } => ({ namespace: 'mail', name });

async function isGone(resource: Resource, name: ObjectName): Promise<boolean> {
  return (await world.api.find(resource, name)) === undefined;
}

async function running(name: string, spec: Fields = {}, references: Fields = {}): Promise<void> {
  const queue = { type: 'Redis', redis: { ...redis, ...references } };
  await world.createRelay({ replicas: 3, queue, ...spec }, { name });
  await world.untilReason(named(name), 'Ready', 'Ready');
}

/** Names of its pods, in order. */
function podNames(relay: string): string[] {
  const keys = world.node.pods().map(({ key }) => key);
  return keys.filter(key => key.startsWith(`mail/${relay}-relay-`)).sort();
}

function reporters(relay: string): Reporter[] {
  return podNames(relay).map(key => world.node.reporter(key));
}

async function untilPods(relay: string, count: number): Promise<void> {
  await waitUntil(`${count} pods of ${relay}`, () => podNames(relay).length === count, { limitMs: 40_000 });
}

async function putSecret(name: string, data: Readonly<Record<string, string | Buffer>>): Promise<void> {
  const entries = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  const object = { apiVersion: 'v1', kind: 'Secret', metadata: named(name), data: Object.fromEntries(entries) };
  if (await isGone(secrets, named(name))) await world.api.create(secrets, object as KubeObject);
  else await world.api.edit(secrets, named(name), { data: object.data });
}

async function authority(title: string): Promise<Readonly<Record<string, string>>> {
  return { 'ca.crt': (await mintAuthority(title, Date.now())).certificate };
}

async function writesOf(resource: string, name: string): Promise<number> {
  return (await world.operatorWrites()).filter(one => one.resource === resource && one.name === name).length;
}

test('its credentials and authorities may come later and change: its pods stay, and run by them', async () => {
  const references = { credentialsSecretRef: { name: 'redis' }, caSecretRef: { name: 'redis-ca' } };
  const queue = { type: 'Redis', redis: { ...redis, ...references } };
  await world.createRelay({ replicas: 2, queue }, { name: 'rotated' });
  const lacking = await world.untilReason(named('rotated'), 'ResolvedRefs', 'SecretNotFound');
  const { message = '' } = lacking.status?.conditions?.find(({ type }) => type === 'ResolvedRefs') ?? {};
  assert.match(message, /spec\.queue\.redis\.credentialsSecretRef: Secret mail\/redis is not there/);
  assert.match(message, /spec\.queue\.redis\.caSecretRef: Secret mail\/redis-ca is not there/);
  await world.untilStill();
  const asked = (await world.operatorRequests()).length;
  await world.untilStill();
  const meanwhile = (await world.operatorRequests()).slice(asked).filter(({ verb }) => verb !== 'watch');
  assert.deepEqual(meanwhile, [], 'no loop of errors');
  await putSecret('redis', { password: 'one' });
  await putSecret('redis-ca', await authority('first'));
  await world.untilReason(named('rotated'), 'Ready', 'Ready');
  const first = (await world.relay(named('rotated'))).status?.appliedRevision;
  const before_ = podNames('rotated');
  for (const change of [
    () => putSecret('redis', { username: 'relay', password: 'two' }),
    async () => putSecret('redis-ca', await authority('second')),
  ]) {
    const revision = (await world.relay(named('rotated'))).status?.appliedRevision;
    await change();
    await waitUntil('all pods to run by it', async () => {
      const { status } = await world.relay(named('rotated'));
      return status?.appliedRevision !== revision && status?.appliedRevision === status?.configurationRevision;
    });
  }
  assert.deepEqual(podNames('rotated'), before_, 'no pod was replaced');
  const now = (await world.relay(named('rotated'))).status?.appliedRevision;
  assert.notEqual(now, first);
  for (const pod of reporters('rotated')) assert.equal(pod.revision, now);
  const config = await world.api.get<KubeObject & { readonly data: Fields }>(configMaps, named('rotated-relay-config'));
  assert.doesNotMatch(JSON.stringify(config.data), /"two"|BEGIN/);
});

test('a smaller relay ends the pods that have least under way, and nothing is written while it stays as it is', async () => {
  await running('smaller');
  const names = podNames('smaller');
  const [first, busiest, third] = reporters('smaller');
  assert.ok(first && busiest && third);
  busiest.openSessions = 4;
  busiest.deliveries = 2;
  third.deliveries = 1;
  await world.untilStill();
  const before_ = (await world.operatorWrites()).length;
  first.openSessions = 3;
  await world.untilStill();
  assert.equal((await world.operatorWrites()).length, before_, 'a load that changes is no write');
  await world.api.edit(mailRelays, named('smaller'), { spec: { replicas: 1 } });
  await untilPods('smaller', 1);
  assert.deepEqual(podNames('smaller'), [names[1]]);
  await world.untilReason(named('smaller'), 'Progressing', 'RolledOut');
  const left = await world.api.get(pods, named((names[1] ?? '').replace('mail/', '')));
  assert.equal(left.metadata.annotations?.[deletionCost], undefined, 'who stays bears no mark');
  assert.equal(await isGone(persistentVolumeClaims, named('queue-smaller-relay-0')), true);
});

test('a Redis that would not keep mail is what Ready says, once, until it would', async () => {
  await running('troubled', { replicas: 2 });
  for (const pod of reporters('troubled')) {
    pod.storeTroubles = ['AppendOnlyDisabled'];
    pod.setReady(false);
  }
  const relay = await world.untilReason(named('troubled'), 'Ready', 'QueueStoreTrouble');
  const ready = relay.status?.conditions?.find(({ type }) => type === 'Ready');
  assert.equal(ready?.message, 'Redis would not keep mail, and none is taken: AppendOnlyDisabled');
  await world.untilStill();
  const before_ = await writesOf('mailrelays/status', 'troubled');
  await world.untilStill();
  assert.equal(await writesOf('mailrelays/status', 'troubled'), before_);
  for (const pod of reporters('troubled')) {
    pod.storeTroubles = [];
    pod.setReady(true);
  }
  await world.untilReason(named('troubled'), 'Ready', 'Ready');
});

test('a deleted relay keeps all its pods until each says that nothing is left to deliver, then goes', async () => {
  await running('drained', { replicas: 2 });
  const [one, two] = reporters('drained');
  assert.ok(one && two);
  for (const pod of [one, two]) pod.queued.Waiting = 3;
  await world.api.remove(mailRelays, named('drained'));
  const relay = await world.untilReason(named('drained'), 'Draining', 'Draining');
  assert.equal(reasonOf(relay.status, 'Ready'), 'Terminating');
  // The queue is empty; who has a session open may still put something in.
  two.openSessions = 1;
  for (const pod of [one, two]) pod.queued.Waiting = 0;
  await world.untilStill();
  assert.equal(podNames('drained').length, 2);
  two.openSessions = 0;
  await waitUntil('it is gone', () => isGone(mailRelays, named('drained')), { limitMs: 40_000, everyMs: 50 });
  await waitUntil('its Deployment, too', () => isGone(deployments, named('drained-relay')), { limitMs: 40_000 });
  await untilPods('drained', 0);
});

interface Autoscaler extends KubeObject {
  readonly spec: {
    readonly metrics: readonly object[];
    readonly behavior?: { readonly scaleUp: { readonly policies: readonly object[] } };
  };
}

test('an age of the queue that is aimed at comes to the autoscaler and goes again, with its pace', async () => {
  const scaling = { minReplicas: 2, maxReplicas: 8 };
  await running('aged', { autoscaling: { ...scaling, targetQueueAgeSeconds: 60 } });
  const found = async (): Promise<Autoscaler['spec']> =>
    (await world.api.get<Autoscaler>(autoscalers, named('aged-relay'))).spec;
  await waitUntil('the autoscaler', async () => !(await isGone(autoscalers, named('aged-relay'))));
  const cpu = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } };
  const age = (seconds: string): object => ({
    type: 'Pods',
    pods: {
      metric: { name: 'postroad_queue_oldest_due_age_seconds' },
      target: { type: 'AverageValue', averageValue: seconds },
    },
  });
  const { metrics, behavior } = await found();
  assert.deepEqual(metrics, [cpu, age('60')]);
  assert.deepEqual(behavior?.scaleUp.policies, [{ type: 'Percent', value: 100, periodSeconds: 60 }]);
  await world.untilStill();
  const before_ = await writesOf('horizontalpodautoscalers', 'aged-relay');
  // A number of minutes is one that the server could write otherwise.
  await world.api.edit(mailRelays, named('aged'), { spec: { autoscaling: { targetQueueAgeSeconds: 3000 } } });
  await waitUntil(
    'another age',
    async () => JSON.stringify((await found()).metrics) === JSON.stringify([cpu, age('3k')]),
  );
  await world.untilStill();
  assert.equal(await writesOf('horizontalpodautoscalers', 'aged-relay'), before_ + 1);
  await world.api.edit(mailRelays, named('aged'), { spec: { autoscaling: { targetQueueAgeSeconds: null } } });
  await waitUntil('the CPU alone', async () => JSON.stringify((await found()).metrics) === JSON.stringify([cpu]));
  const byDefault = (await found()).behavior?.scaleUp.policies ?? [];
  assert.ok(
    byDefault.every(policy => 'periodSeconds' in policy && policy.periodSeconds === 15),
    JSON.stringify(byDefault),
  );
});

test('with an autoscaler the number of pods is its own; a relay that is deleted drains, and goes', async () => {
  await running('scaled', { autoscaling: { minReplicas: 2, maxReplicas: 8 } });
  await waitUntil('the autoscaler', async () => !(await isGone(autoscalers, named('scaled-relay'))));
  await untilPods('scaled', 2);
  // As the autoscaler does it.
  await world.api.edit(deployments, named('scaled-relay'), { spec: { replicas: 3 } });
  await untilPods('scaled', 3);
  await world.untilReason(named('scaled'), 'Progressing', 'RolledOut');
  await world.untilStill();
  assert.equal(podNames('scaled').length, 3, 'nobody takes it back');
  for (const pod of reporters('scaled')) pod.queued.Waiting = 1;
  await world.api.remove(mailRelays, named('scaled'));
  await world.untilReason(named('scaled'), 'Draining', 'Draining');
  await waitUntil('the autoscaler is gone', () => isGone(autoscalers, named('scaled-relay')));
  assert.equal(podNames('scaled').length, 3);
  for (const pod of reporters('scaled')) pod.queued.Waiting = 0;
  await waitUntil('it is gone', () => isGone(mailRelays, named('scaled')), { limitMs: 40_000, everyMs: 50 });
});
