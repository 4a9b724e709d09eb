import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { domainPolicies } from '../../../operator/cluster/kinds.ts';
import { configMaps, key, place, RelayWorld, runs, type Started } from './reconcile-world.ts';
import { at } from './relay-input.ts';

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld();
});

describe('what pods run', () => {
  async function programmed(started: Started): Promise<void> {
    await started.pass();
    await started.pass();
    world.answers.set('10.0.0.1', runs(world.revision()));
    await world.clock.advance(60_000);
    await started.pass();
  }

  it('is asked for until every ready pod runs the revision, and then no more', async () => {
    world.putRelay({ replicas: 1 });
    world.putPod(0, '10.0.0.1');
    const started = world.start();
    await started.pass();
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationPending');
    await programmed(started);
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationApplied');
    assert.equal(world.clock.sleepers, 0, 'nobody is asked any more');
  });

  it('is older although they were told: they are told again, three times at most, by whichever process leads', async () => {
    world.putRelay({ replicas: 1 });
    world.putPod(0, '10.0.0.1');
    world.answers.set('10.0.0.1', runs('older'));
    const startMs = world.clock.now();
    const told: (readonly [seconds: number, nudges: unknown])[] = [];
    world.cluster.onRequest = ({ path, body }) => {
      const nudges = at(body, 'metadata', 'annotations', 'postroad.dev/nudges');
      if (path.includes('/pods/')) told.push([Math.round((world.clock.now() - startMs) / 1000), nudges]);
    };
    const passes = async (started: Started): Promise<void> => {
      for (let second = 0; second < 60; second++) {
        await started.pass();
        await world.clock.advance(1000);
      }
    };
    const started = world.start();
    await passes(started);
    assert.deepEqual(told.splice(0), [
      [0, undefined],
      [1, '1'],
      [3, '2'],
      [8, '3'],
    ]);
    await passes(world.start());
    assert.deepEqual(told.splice(0), [], 'the pods say how often they were told');
    world.putPolicy('shop');
    await passes(started);
    assert.deepEqual(
      told.splice(0).map(([, nudges]) => nudges),
      [undefined, '1', '2', '3'],
      'of a new revision they are told anew',
    );
    world.answers.set('10.0.0.1', runs(world.revision()));
    await passes(started);
    assert.deepEqual(told, []);
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationApplied');
  });

  it('is told to the one policy that was changed, and to no other', async () => {
    world.putRelay({ replicas: 1 });
    world.putPod(0, '10.0.0.1');
    world.putPolicy('shop');
    world.putPolicy('bank');
    const started = world.start();
    await programmed(started);
    const before = started.states.get(key);
    assert.deepEqual([...(before?.running ?? [])], [...(before?.rendered ?? [])]);
    started.touched.length = 0;
    world.putPolicy('shop', { tls: { policy: 'Required' } });
    await started.pass();
    assert.deepEqual(started.touched, ['shop/shop']);
    const now = started.states.get(key);
    assert.notEqual(now?.rendered.get('shop/shop')?.digest, now?.running?.get('shop/shop')?.digest);
    assert.equal(now?.rendered.get('shop/bank')?.digest, now?.running?.get('shop/bank')?.digest);
    await programmed(started);
    assert.deepEqual([...(started.states.get(key)?.running ?? [])], [...(started.states.get(key)?.rendered ?? [])]);
  });

  it('can go on until what pods hold is delivered: what they start with is made again while the relay goes', async () => {
    world.putRelay({ replicas: 2 });
    const started = world.start();
    await started.pass();
    await started.pass();
    const accounts = place('v1', 'ServiceAccount');
    world.cluster.remove(accounts, 'mail/outbound-relay');
    world.cluster.remove(configMaps, 'mail/outbound-relay-config');
    world.cluster.remove(configMaps, 'mail/outbound-ca');
    const { finalizers } = world.relay().metadata;
    world.putRelay({ replicas: 2 }, { finalizers, deletionTimestamp: new Date(world.clock.now()).toISOString() });
    const againMs = await world.start().pass();
    assert.ok(world.cluster.at(accounts, 'mail/outbound-relay') !== undefined, 'without it there are no pods');
    assert.ok(world.cluster.at(configMaps, 'mail/outbound-relay-config') !== undefined);
    assert.equal(world.cluster.at(configMaps, 'mail/outbound-ca'), undefined, 'no pod needs it');
    assert.equal(world.reasonOf('Draining'), 'Draining');
    assert.equal(againMs, world.relay().spec.shutdown.drainTimeoutSeconds * 1000, 'and no longer than it may take');
  });

  it('is less by the keys that must stop, also while nothing else may change; a new process knows it too', async () => {
    world.putRelay({ replicas: 1, clients: { usersSecretRef: { name: 'users' } } });
    world.cluster.secrets.set('mail/users', new Map([['demo', Buffer.from('a password')]]));
    world.putPod(0, '10.0.0.1');
    world.putPolicy('shop');
    world.putPolicy('bank');
    const started = world.start();
    await programmed(started);
    const before = world.revision();
    world.cluster.secrets.set('mail/users', 'Missing');
    world.cluster.remove(domainPolicies, 'shop/shop');
    await started.pass();
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationRejected');
    assert.notEqual(world.revision(), before);
    const runningOf = ({ states }: Started, policy: string) =>
      states
        .get(key)
        ?.running?.get(policy)
        ?.signing.map(({ selector }) => selector);
    assert.deepEqual(runningOf(started, 'shop/shop'), ['one'], 'the pod has not said that it stopped');
    await programmed(started);
    assert.deepEqual(runningOf(started, 'shop/shop'), []);
    assert.deepEqual(runningOf(started, 'shop/bank'), ['one']);
    const fresh = world.start();
    await programmed(fresh);
    assert.deepEqual([...(fresh.states.get(key)?.running ?? [])], [...(started.states.get(key)?.running ?? [])]);
  });

  it('is nothing while there is no configuration: no policy is told that its part runs', async () => {
    world.putRelay({ replicas: 1, clients: { usersSecretRef: { name: 'users' } } });
    world.putPolicy('shop');
    const started = world.start();
    await started.pass();
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationRejected');
    assert.ok(started.states.get(key)?.rendered.has('shop/shop'));
    assert.equal(started.states.get(key)?.running, undefined);
  });

  it('is believed of a relay that was programmed, until its pods were asked in vain', async () => {
    world.putRelay({ replicas: 1 });
    world.putPod(0, '10.0.0.1');
    await programmed(world.start());
    world.answers.clear();
    const next = world.start();
    await next.pass();
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationApplied');
    await world.clock.advance(60_000);
    await next.pass();
    assert.equal(world.reasonOf('Programmed'), 'ConfigurationPending');
  });
});
