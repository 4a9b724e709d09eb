import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { pods } from '../../../operator/cluster/kinds.ts';
import { ApiError, ConnectionError } from '../../../operator/kube/errors.ts';
import { MemoryCluster } from './memory-cluster.ts';
import { configMaps, dayMs, heldMs, key, place, RelayWorld, runs, secretKind, sharedQueue } from './reconcile-world.ts';
import { at } from './relay-input.ts';

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld();
});

describe('a pass over a relay', () => {
  it('begins with the finalizer and ends with the one status that it writes', async () => {
    world.putRelay();
    await world.start().pass();
    const paths = world.cluster.writes.map(({ path }) => path);
    assert.match(paths[0] ?? '', /mailrelays\/outbound$/);
    assert.deepEqual(world.relay().metadata.finalizers, ['postroad.dev/drain']);
    assert.deepEqual(
      paths.filter(path => path.endsWith('/status')),
      paths.slice(-1),
    );
  });

  it('says Unknown of everything where the first one fails before it knows anything', async () => {
    world.putRelay();
    world.cluster.onRequest = ({ path }) => {
      if (path.endsWith('/outbound-relay-keys')) throw new ApiError('test', { code: 500, reason: 'InternalError' });
    };
    await assert.rejects(world.start().pass(), ApiError);
    const conditions = at(world.cluster.writes.at(-1)?.body, 'status', 'conditions') as { status: string }[];
    assert.deepEqual(new Set(conditions.map(({ status }) => status)), new Set(['Unknown']));
  });

  it('stores keys before it makes anything from them, files before the configuration, the configuration before the pods look', async () => {
    world.putRelay({ replicas: 1 });
    world.putPod(0, '10.0.0.1');
    await world.start().pass();
    const order = world.cluster.writes.map(({ path }) => path);
    const index = (name: string): number => order.findIndex(path => path.endsWith(name));
    const steps = [
      '/outbound-relay-keys',
      '/outbound-relay-files-0',
      '/outbound-relay-config',
      '/pods/outbound-relay-0',
    ];
    const places = steps.map(index);
    assert.ok(
      places.every(one => one >= 0),
      order.join('\n'),
    );
    assert.deepEqual(
      places.toSorted((a, b) => a - b),
      places,
    );
  });

  it('over an unchanged world asks nothing, also of a process that remembers nothing', async () => {
    world.putRelay();
    world.putPolicy('shop');
    const first = world.start();
    await first.pass();
    await first.pass();
    const count = world.cluster.asked.length;
    await first.pass();
    await world.start().pass();
    assert.deepEqual(world.cluster.asked.slice(count), []);
  });

  it('that ends at any request leads to the same in the end', async () => {
    world.putRelay();
    world.putPolicy('shop');
    await world.start().pass();
    const whole = world.cluster.asked.length;
    const written = world.cluster.writes.map(({ path }) => path);
    assert.ok(whole > 12, String(whole));
    for (let last = 1; last <= whole; last++) {
      world.cluster = new MemoryCluster();
      world.putRelay();
      world.putPolicy('shop');
      world.cluster.onRequest = () => {
        if (world.cluster.asked.length === last) throw new ConnectionError('test', 'Unreachable');
        checkOrder();
      };
      await world
        .start()
        .pass()
        .catch((error: unknown) => assert.ok(error instanceof ConnectionError));
      const authority = world.cluster.at(secretKind, 'mail/outbound-relay-keys');
      await world.start().pass();
      const missing = written.filter(path => !world.cluster.writes.some(one => one.path === path));
      assert.deepEqual(missing, [], `ended at request ${last}`);
      if (authority !== undefined)
        assert.deepEqual(at(world.cluster.at(secretKind, 'mail/outbound-relay-keys'), 'data'), at(authority, 'data'));
    }
  });

  /** What a configuration names is there before it is. */
  function checkOrder(): void {
    const text = at(world.cluster.at(configMaps, 'mail/outbound-relay-config'), 'data', 'relay.json');
    if (typeof text !== 'string') return;
    const files = Object.keys(
      (at(world.cluster.at(secretKind, 'mail/outbound-relay-files-0'), 'data') ?? {}) as object,
    );
    for (const [, name] of text.matchAll(/\/etc\/postroad\/([a-z]+-[0-9a-f]{16}\.[a-z]+)/g))
      assert.ok(files.includes(name ?? ''), String(name));
  }

  it('renews what is due, with an Event for each step but the first, and asks to be called when something will be', async () => {
    world.putRelay();
    const { pass } = world.start();
    await pass();
    assert.deepEqual(world.events, [], 'what comes with a new relay is no news');
    await world.clock.advance(59 * dayMs);
    await pass();
    assert.deepEqual(world.events, []);
    await world.clock.advance(heldMs);
    const due = (await pass()) ?? 0;
    assert.ok(due <= 6 * 3_600_000 && due >= 1000, String(due));
    await world.clock.advance(dayMs);
    await pass();
    assert.deepEqual(
      world.events.map(({ reason }) => reason),
      ['CertificateDue'],
    );
  });

  it('says in one status that a new configuration is wanted and runs, where the pods are quick', async () => {
    world.putRelay();
    world.putPod(0, '10.0.0.1');
    const { pass } = world.start();
    world.answers.set('10.0.0.1', runs(''));
    await pass();
    world.answers.set('10.0.0.1', runs(world.revision()));
    await world.clock.advance(100);
    await pass();
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationApplied');
    world.putPolicy('shop');
    world.cluster.asked.length = 0;
    assert.equal(await pass(), heldMs);
    assert.deepEqual(world.statuses(), [], 'what is under way is told a moment later');
    world.answers.set('10.0.0.1', runs(world.revision()));
    await world.clock.advance(100);
    await pass();
    assert.equal(world.statuses().length, 1);
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationApplied');
    assert.equal(world.relay().status?.appliedRevision, world.revision());
  });

  it('says that a configuration is awaited when the pods take their time', async () => {
    world.putRelay();
    world.putPod(0, '10.0.0.1');
    const { pass } = world.start();
    await pass();
    world.answers.set('10.0.0.1', runs(world.revision()));
    await world.clock.advance(100);
    await pass();
    world.putPolicy('shop');
    await pass();
    await world.clock.advance(heldMs);
    await pass();
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationPending');
  });

  it('leaves a paused relay as it is, from the start', async () => {
    world.putRelay({ reconciliation: 'Paused' });
    await world.start().pass();
    assert.deepEqual(new Set(world.cluster.writes.map(({ path }) => path.replace(/.*\//, ''))), new Set(['status']));
    assert.equal(world.reasonOf('Paused'), 'Paused');
  });

  it('says of a relay without pods that it is parked, not that something is awaited', async () => {
    world.putRelay({ replicas: 0 });
    world.putPolicy('shop');
    const { pass, states } = world.start();
    await pass();
    assert.deepEqual([world.reasonOf('Ready'), world.reasonOf('Programmed')], ['Parked', 'ConfigurationApplied']);
    const { rendered, running } = states.get('mail/outbound') ?? {};
    assert.deepEqual([...(running?.keys() ?? [])], [...(rendered?.keys() ?? [])], 'of its policies as well');
    assert.equal(running?.size, 1);
  });

  it('of a relay with a shared queue that goes keeps its pods until they say that the queue is empty', async () => {
    const finalizers = ['postroad.dev/drain'];
    world.putRelay(sharedQueue, { finalizers });
    const { pass } = world.start();
    await pass();
    const deployments = place('apps/v1', 'Deployment');
    assert.equal(at(world.cluster.at(deployments, 'mail/outbound-relay'), 'spec', 'replicas'), 2);
    world.putRelay(sharedQueue, { finalizers, deletionTimestamp: new Date(world.clock.now()).toISOString() });
    world.putPod(0, '10.0.0.1');
    await pass();
    assert.deepEqual(world.relay().metadata.finalizers, finalizers, 'its pod may hold mail');
    assert.equal(world.reasonOf('Draining'), 'Draining');
  });

  it('of a relay with a shared queue that goes makes no pod anew when it sees them end before the number that it wrote', async () => {
    const finalizers = ['postroad.dev/drain'];
    const deployments = place('apps/v1', 'Deployment');
    const workload = () => world.cluster.at(deployments, 'mail/outbound-relay');
    const replicas = () => at(workload(), 'spec', 'replicas');
    world.putRelay(sharedQueue, { finalizers });
    world.putPod(0, '10.0.0.1');
    const { pass } = world.start();
    await pass();
    world.answers.set('10.0.0.1', runs(world.revision()));
    world.putRelay(sharedQueue, { finalizers, deletionTimestamp: new Date(world.clock.now()).toISOString() });
    const former = workload();
    assert.ok(former !== undefined);
    for (let second = 0; second < 60 && replicas() !== 0; second += 1) {
      await pass();
      await world.clock.advance(1000);
    }
    assert.equal(replicas(), 0);
    world.cluster.put(deployments, former);
    world.putPod(0, '10.0.0.1', { deletionTimestamp: new Date(world.clock.now()).toISOString() });
    world.cluster.asked.length = 0;
    assert.equal(await pass(), 200, 'looks again soon');
    assert.deepEqual(world.cluster.writes, []);
    await world.clock.advance(10_000);
    await pass();
    assert.notDeepEqual(world.cluster.writes, [], 'but does not wait for ever');
  });

  it('of one that goes does not wait for pods that only carry its labels', async () => {
    const finalizers = ['postroad.dev/drain'];
    world.putRelay({}, { finalizers });
    world.putPod(0, '10.0.0.1');
    const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', uid: 'x', controller: true };
    world.putPod(1, '10.0.0.2', { name: 'stranger', ownerReferences: undefined });
    world.putPod(2, '10.0.0.3', { name: 'outbound-relay-2', ownerReferences: [{ ...owner, name: 'other' }] });
    world.putPod(3, '10.0.0.4', { name: 'outbound-relay-x', ownerReferences: [{ ...owner, name: 'outbound-relay' }] });
    world.putRelay({}, { finalizers, deletionTimestamp: new Date(world.clock.now()).toISOString() });
    const { pass } = world.start();
    await pass();
    assert.deepEqual(world.relay().metadata.finalizers, finalizers, 'its own pod may hold mail');
    world.cluster.remove(pods, 'mail/outbound-relay-0');
    await pass();
    assert.equal(world.cluster.relay(key)?.metadata.finalizers?.length ?? 0, 0);
    const touched = world.cluster.writes.filter(({ path }) => path.includes('/pods/'));
    assert.deepEqual(
      touched.filter(({ path }) => !path.endsWith('/pods/outbound-relay-0')),
      [],
    );
  });

  it('says of a Secret that it may not be read', async () => {
    world.putRelay({ clients: { usersSecretRef: { name: 'users' } } });
    world.cluster.secrets.set('mail/users', 'Forbidden');
    await world.start().pass();
    assert.equal(world.reasonOf('ResolvedRefs'), 'SecretNotReadable');
  });
});
