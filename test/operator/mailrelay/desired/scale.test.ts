import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Existing, noExisting, type ObservedPod } from '../../../../operator/mailrelay/desired/input.ts';
import { isDraining, isGone, scaleOf } from '../../../../operator/mailrelay/desired/scale.ts';
import { at, desiredOf, find, pod, storedRelay } from '../relay-input.ts';

type Fields = Readonly<Record<string, unknown>>;

const redis = { type: 'Redis', redis: { type: 'Single', addresses: ['redis.data:6379'], durability: 'Fsync' } };
const autoscaling = { minReplicas: 2, maxReplicas: 8 };
const deleted = { deletionTimestamp: '2026-01-01T00:00:00Z' };

function holding(name: string, queuedRecipients: number | undefined): ObservedPod {
  return pod(name, { report: queuedRecipients === undefined ? undefined : { revision: '1', queuedRecipients } });
}

/** `queued` by ordinal; undefined: the pod has not said. */
function running(replicas: number, queued: readonly (number | undefined)[]): Existing {
  return {
    ...noExisting,
    workload: { replicas, claimSize: '10Gi', fileShards: 1 },
    pods: queued.map((count, ordinal) => holding(`outbound-relay-${ordinal}`, count)),
  };
}

interface Case {
  readonly spec: Fields;
  readonly metadata?: Fields;
  readonly existing: Existing;
  readonly drainOver?: boolean;
  readonly replicas: number | undefined;
  readonly leaving?: readonly number[];
}

const cases: Readonly<Record<string, Case>> = {
  'a new relay has the pods that are asked for': { spec: { replicas: 3 }, existing: noExisting, replicas: 3 },
  'more pods come at once': { spec: { replicas: 5 }, existing: running(2, [9, 9]), replicas: 5 },
  'a pod with mail stays, and leaves the Service': {
    spec: { replicas: 1 },
    existing: running(3, [5, 0, 4]),
    replicas: 3,
    leaving: [1, 2],
  },
  'a pod goes once its queue is empty, though one below it still holds mail': {
    spec: { replicas: 1 },
    existing: running(3, [5, 4, 0]),
    replicas: 2,
    leaving: [1, 2],
  },
  'all that are empty go together': {
    spec: { replicas: 1 },
    existing: running(3, [5, 0, 0]),
    replicas: 1,
    leaving: [1, 2],
  },
  'a pod that has not said what it holds stays': {
    spec: { replicas: 1 },
    existing: running(2, [0, undefined]),
    replicas: 2,
    leaving: [1],
  },
  'a pod that is not there now may hold mail on its volume': {
    spec: { replicas: 1 },
    existing: running(3, [0]),
    replicas: 3,
  },
  'when the time is over, pods go as they are': {
    spec: { replicas: 1 },
    existing: running(3, [5, 4, 3]),
    drainOver: true,
    replicas: 1,
  },
  'parking empties the queues first': {
    spec: { replicas: 0 },
    existing: running(2, [1, 0]),
    replicas: 1,
    leaving: [0, 1],
  },
  'deletion empties the queues first': {
    spec: { replicas: 2 },
    metadata: deleted,
    existing: running(2, [1, 1]),
    replicas: 2,
    leaving: [0, 1],
  },
  'with Redis pods go at once: the queue is not theirs': {
    spec: { replicas: 1, queue: redis },
    existing: running(3, [7, 7, 7]),
    replicas: 1,
  },
  'with Redis, parking waits for the queue of all': {
    spec: { replicas: 0, queue: redis },
    existing: running(2, [7, undefined]),
    replicas: 2,
    leaving: [0, 1],
  },
  'with Redis, an empty queue lets all pods go': {
    spec: { replicas: 0, queue: redis },
    existing: running(2, [0, 0]),
    replicas: 0,
  },
  'with Redis, no word of one pod ends another, which may still be given mail': {
    spec: { replicas: 0, queue: redis },
    existing: running(2, [0, 7]),
    replicas: 2,
    leaving: [0, 1],
  },
  'with Redis, all stay while no pod can say what the queue holds': {
    spec: { replicas: 0, queue: redis },
    existing: { ...running(2, []), pods: [pod('outbound-relay-0', { ready: false })] },
    replicas: 2,
    leaving: [0],
  },
  'an autoscaler decides alone': {
    spec: { queue: redis, autoscaling },
    existing: running(5, [1, 1]),
    replicas: undefined,
  },
  'an autoscaled relay that is deleted keeps its pods until the queue is empty': {
    spec: { queue: redis, autoscaling },
    metadata: deleted,
    existing: running(2, [1, 1]),
    replicas: undefined,
    leaving: [0, 1],
  },
};

describe('how many pods there are: ', () => {
  for (const [name, { spec, metadata, existing, drainOver = false, replicas, leaving = [] }] of Object.entries(cases)) {
    it(name, () => {
      assert.deepEqual(scaleOf({ relay: storedRelay(spec, metadata), existing, drainOver }), {
        replicas,
        leaving: leaving.map(ordinal => `outbound-relay-${ordinal}`),
      });
    });
  }

  it('an autoscaled relay that is deleted drains also while it has no pods', () => {
    const relay = (metadata = {}) => storedRelay({ queue: redis, autoscaling }, metadata);
    const draining = (replicas: number | undefined, metadata = {}) =>
      isDraining(relay(metadata), { replicas, leaving: [] });
    assert.deepEqual([draining(undefined, deleted), draining(0, deleted), draining(undefined)], [true, false, false]);
  });

  it('a relay is gone when nothing of it runs', () => {
    assert.equal(isGone(noExisting), true);
    assert.equal(isGone(running(0, [])), true);
    assert.equal(isGone(running(1, [])), false);
    assert.equal(isGone(running(0, [0])), false);
  });
});

describe('the workload', () => {
  it('leaves the number of pods to the autoscaler, once it was handed over', () => {
    const relay = storedRelay({ queue: redis, autoscaling });
    const replicas = (existing: Existing): unknown =>
      at(find(desiredOf(relay, { existing }), 'Deployment'), 'spec', 'replicas');
    const handover = (existing: Existing): unknown => at(desiredOf(relay, { existing }).handover, 'spec', 'replicas');
    const scaler = (existing: Existing): unknown => find(desiredOf(relay, { existing }), 'HorizontalPodAutoscaler');
    assert.equal(replicas(noExisting), 2, 'made with the least');
    assert.equal(scaler(noExisting), undefined, 'and before the autoscaler');
    const before = running(5, []);
    assert.deepEqual([replicas(before), handover(before)], [undefined, 5]);
    assert.ok(scaler(before) !== undefined);
    assert.equal(handover(running(1, [])), 2);
    assert.equal(handover(running(20, [])), 8);
    const after = { ...before, hasAutoscaler: true };
    assert.deepEqual([replicas(after), handover(after)], [undefined, undefined]);
  });

  it('of an autoscaled relay that is deleted and empty is handed over to nobody, who would make pods again', () => {
    const relay = storedRelay({ queue: redis, autoscaling }, deleted);
    const ended = desiredOf(relay, { existing: running(0, []) });
    assert.equal(at(find(ended, 'Deployment'), 'spec', 'replicas'), 0);
    assert.equal(ended.handover, null);
  });

  it('is rendered with the claim template that it has, and its volumes grow one by one', () => {
    const relay = storedRelay({ queue: { type: 'Volume', volume: { size: '20Gi' } } });
    const claims = new Map([
      [0, { size: '10Gi' }],
      [1, { size: '20Gi' }],
      [2, { size: '20480Mi' }],
    ]);
    const desired = desiredOf(relay, { existing: { ...running(3, []), claims } });
    const template = at(find(desired, 'StatefulSet'), 'spec', 'volumeClaimTemplates', 0);
    assert.equal(at(template, 'spec', 'resources', 'requests', 'storage'), '10Gi');
    const grown = desired.patches.filter(({ kind }) => kind === 'PersistentVolumeClaim');
    assert.deepEqual(
      grown.map(({ metadata, spec }) => [metadata.name, at(spec, 'resources', 'requests', 'storage')]),
      [['queue-outbound-relay-0', '20Gi']],
    );
    assert.equal(at(grown[0], 'metadata', 'ownerReferences'), undefined, 'a volume is nobody’s to collect');
  });

  it('keeps its volumes when pods or all of it go', () => {
    const spec = find(desiredOf(storedRelay()), 'StatefulSet')?.spec;
    assert.deepEqual(at(spec, 'persistentVolumeClaimRetentionPolicy'), { whenScaled: 'Retain', whenDeleted: 'Retain' });
  });
});

describe('running pods', () => {
  const relay = storedRelay({ replicas: 1 });
  const told = (pods: readonly ObservedPod[], replicas = 1): unknown[] => {
    const desired = desiredOf(relay, { existing: { ...running(replicas, []), pods } });
    return desired.patches.filter(({ kind }) => kind === 'Pod').map(({ metadata }) => metadata);
  };
  const desiredRevision = (): string => {
    const { configuration } = desiredOf(relay);
    return configuration.kind === 'Made' ? configuration.revision : '';
  };

  it('are told of a new revision, by uid, and once', () => {
    const annotations = { 'postroad.dev/configuration-revision': desiredRevision() };
    const one = pod('outbound-relay-0');
    assert.deepEqual(told([one]), [
      { name: one.name, namespace: 'mail', uid: one.uid, labels: { 'postroad.dev/serving': 'true' }, annotations },
    ]);
    assert.deepEqual(told([{ ...one, annotations }]), []);
    assert.deepEqual(told([{ ...one, terminating: true }]), []);
  });

  it('that are leaving are taken out of the Service, and back in when they may stay', () => {
    const annotations = { 'postroad.dev/configuration-revision': desiredRevision() };
    const leaving = { ...holding('outbound-relay-1', 3), annotations };
    assert.deepEqual(
      told([leaving], 2).map(metadata => at(metadata, 'labels')),
      [{ 'postroad.dev/serving': 'false' }],
    );
    const out = { ...holding('outbound-relay-0', 3), annotations, labels: { 'postroad.dev/serving': 'false' } };
    assert.deepEqual(
      told([out]).map(metadata => at(metadata, 'labels')),
      [{ 'postroad.dev/serving': 'true' }],
    );
  });

  it('that the workload is about to end stay out of the Service: back in it, what they said of their queues would not stand', () => {
    const annotations = { 'postroad.dev/configuration-revision': desiredRevision() };
    const out = { annotations, labels: { 'postroad.dev/serving': 'false' } };
    assert.deepEqual(
      told([pod('outbound-relay-0', { annotations }), { ...holding('outbound-relay-1', 0), ...out }]),
      [],
    );
    const deleted = storedRelay({}, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    const { patches } = desiredOf(deleted, {
      existing: { ...running(0, []), pods: [{ ...holding('outbound-relay-0', 0), ...out }] },
    });
    assert.deepEqual(patches, []);
  });
});
