import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { mailRelays, persistentVolumeClaims, pods } from '../../../operator/cluster/kinds.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { selectorLabels } from '../../../operator/labels.ts';
import { key, RelayWorld, type Started } from './reconcile-world.ts';

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld();
});

describe('a volume', () => {
  const emptyWord = { exitCode: 0, message: '{"queue":"Empty"}' };
  const claimName = 'queue-outbound-relay-0';
  const isThere = (): boolean => world.cluster.claimsOf(key).some(({ metadata }) => metadata.name === claimName);

  function putClaim(): void {
    const metadata = { name: claimName, namespace: 'mail', labels: selectorLabels(world.relay()) };
    const spec = { resources: { requests: { storage: '1Mi' } } };
    const kind = 'PersistentVolumeClaim';
    world.cluster.put(persistentVolumeClaims, { apiVersion: 'v1', kind, metadata, spec } as KubeObject);
  }

  /** Its pod ends with an empty queue, and its object goes. */
  function endPod({ controller }: Started): void {
    world.putPod(0, '10.0.0.1', { deletionTimestamp: new Date(world.clock.now()).toISOString() });
    const pod = world.cluster.podsOf(key)[0];
    assert.ok(pod !== undefined);
    const containerStatuses = [{ name: 'relay', state: { terminated: emptyWord } }];
    const object = { ...pod, status: { phase: 'Succeeded', containerStatuses } } as KubeObject;
    world.cluster.remove(pods, 'mail/outbound-relay-0');
    const change = { about: 'Pod', type: 'deleted', key: 'mail/outbound-relay-0', object, previous: pod } as const;
    controller.onChange({ ...change, isInitial: false });
  }

  /** Whatever it holds: nothing is asked. */
  function deleteRelay(): void {
    const { metadata } = world.relay();
    const deletionTimestamp = new Date(world.clock.now()).toISOString();
    const annotations = { 'postroad.dev/skip-drain': 'true' };
    world.cluster.put(mailRelays, {
      ...world.relay(),
      metadata: { ...metadata, deletionTimestamp, annotations },
    } as KubeObject);
  }

  async function passes({ pass }: Started): Promise<void> {
    for (let count = 0; count < 3 && world.cluster.relay(key) !== undefined; count++) await pass();
    assert.equal(world.cluster.relay(key), undefined);
  }

  it('goes with its relay when the last word of its pod was that nothing is in it', async () => {
    world.putRelay({ replicas: 1 });
    world.putPod(0, '10.0.0.1');
    putClaim();
    const started = world.start();
    await started.pass();
    deleteRelay();
    await started.pass();
    endPod(started);
    await passes(started);
    assert.equal(isThere(), false);
  });

  it('stays where that pod was still wanted: another one of its name may be there, and not be seen yet', async () => {
    world.putRelay({ replicas: 1 });
    world.putPod(0, '10.0.0.1');
    putClaim();
    const started = world.start();
    await started.pass();
    endPod(started);
    deleteRelay();
    await passes(started);
    assert.equal(isThere(), true);
    assert.deepEqual(world.events.at(-1)?.reason, 'VolumesKept');
  });
});
