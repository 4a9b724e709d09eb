import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { mailRelays, persistentVolumeClaims } from '../../../operator/cluster/kinds.ts';
import { ApiError } from '../../../operator/kube/errors.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { selectorLabels } from '../../../operator/labels.ts';
import { configMaps, place, RelayWorld, secretKind } from './reconcile-world.ts';
import { at } from './relay-input.ts';

let world: RelayWorld;

beforeEach(() => {
  world = new RelayWorld();
});

describe('what a pass meets', () => {
  const theirs = { name: 'outbound-ca', namespace: 'mail' };
  const reads = (): number =>
    world.cluster.asked.filter(({ method, path }) => method === 'GET' && path.endsWith('-ca')).length;

  it('somebody else’s object: left alone, asked for once, and made once the name is free', async () => {
    world.putRelay();
    world.cluster.put(configMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: theirs,
      data: { theirs: '1' },
    } as KubeObject);
    const started = world.start();
    await started.pass();
    await started.pass();
    assert.equal(world.reasonOf('Accepted'), 'NameTaken');
    assert.equal(reads(), 1);
    assert.deepEqual(at(world.cluster.at(configMaps, 'mail/outbound-ca'), 'data'), { theirs: '1' });
    world.cluster.remove(configMaps, 'mail/outbound-ca');
    const dueMs = (await started.pass()) ?? 0;
    assert.ok(dueMs <= 60_000, String(dueMs));
    await world.clock.advance(60_000);
    await started.pass();
    assert.equal(world.reasonOf('Accepted'), 'Accepted');
    assert.equal(
      world.cluster.at(configMaps, 'mail/outbound-ca')?.metadata.labels?.['app.kubernetes.io/instance'],
      'outbound',
    );
  });

  it('somebody else’s object under a name that is no longer wanted: no matter', async () => {
    world.putRelay();
    const metadata = { name: 'outbound-relay', namespace: 'mail' };
    world.cluster.put(place('networking.k8s.io/v1', 'NetworkPolicy'), {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata,
    });
    const started = world.start();
    await started.pass();
    assert.equal(world.reasonOf('Accepted'), 'NameTaken');
    world.cluster.put(mailRelays, {
      ...world.relay(),
      spec: { ...world.relay().spec, networkPolicy: 'Disabled' },
    } as KubeObject);
    await started.pass();
    assert.equal(world.reasonOf('Accepted'), 'Accepted');
  });

  it('an object of ours by its labels, but of another relay: left alone as well', async () => {
    world.putRelay();
    await world.start().pass();
    const before = world.cluster.at(configMaps, 'mail/outbound-ca');
    world.putRelay({}, { uid: '00000000-0000-4000-8000-000000000002' });
    await world.start().pass();
    assert.equal(world.reasonOf('Accepted'), 'NameTaken');
    assert.deepEqual(world.cluster.at(configMaps, 'mail/outbound-ca'), before);
  });

  it('what a relay of its name left behind: the names are its own as soon as they are free', async () => {
    world.putRelay();
    await world.start().pass();
    const left = world.cluster.owned();
    world.putRelay({}, { uid: '00000000-0000-4000-8000-000000000002' });
    const started = world.start();
    await started.pass();
    assert.equal(world.reasonOf('Accepted'), 'NameTaken');
    for (const { apiVersion, kind, metadata } of left)
      world.cluster.remove(place(apiVersion, kind), `${metadata.namespace}/${metadata.name}`);
    await started.pass();
    assert.equal(world.reasonOf('Accepted'), 'Accepted');
    assert.deepEqual(
      world.cluster.owned().map(({ metadata }) => metadata.ownerReferences?.[0]?.uid),
      left.map(() => '00000000-0000-4000-8000-000000000002'),
    );
  });

  it('a name of its keys that is taken: nothing is made that would need them', async () => {
    world.putRelay();
    const metadata = { name: 'outbound-relay-keys', namespace: 'mail' };
    world.cluster.put(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata });
    await world.start().pass();
    assert.equal(world.reasonOf('Accepted'), 'NameTaken');
    assert.equal(world.cluster.at(configMaps, 'mail/outbound-relay-config'), undefined);
  });

  for (const [code, reason] of [
    [429, 'TooManyRequests'],
    [500, 'InternalError'],
  ] as const) {
    it(`${code}: the pass fails, and the next one goes on`, async () => {
      world.putRelay();
      const started = world.start();
      world.cluster.onRequest = ({ path }) => {
        if (path.endsWith('/outbound-relay-config')) throw new ApiError('test', { code, reason });
      };
      await assert.rejects(started.pass(), ApiError);
      assert.equal(world.reasonOf('Ready'), 'Pending', 'whoever waits for a condition finds it all the same');
      world.cluster.onRequest = () => undefined;
      await started.pass();
      assert.ok(world.revision() !== '');
    });
  }

  it('409: it comes again in a moment, and nobody is told of an error', async () => {
    world.putRelay();
    const started = world.start();
    world.cluster.onRequest = ({ path, method }) => {
      if (path.endsWith('/outbound-relay-keys') && method === 'PATCH')
        throw new ApiError('test', { code: 409, reason: 'Conflict' });
    };
    assert.equal(await started.pass(), 200);
  });

  it('a refusal: what comes before is done, the status is written, and the pass fails', async () => {
    world.putRelay();
    const started = world.start();
    world.cluster.onRequest = ({ path, method }) => {
      if (path.includes('/prometheusrules/') && method === 'PATCH')
        throw new ApiError('test', { code: 403, reason: 'Forbidden' });
    };
    await assert.rejects(started.pass(), ApiError);
    assert.equal(world.reasonOf('CertificateReady'), 'CertificateIssued');
    assert.ok(world.revision() !== '');
  });

  it('a volume that may not grow: the others are tried, nothing fails, and it is looked at again in ten minutes', async () => {
    world.putRelay({ replicas: 2 });
    const labels = selectorLabels(world.relay());
    for (const ordinal of [0, 1]) {
      const metadata = { name: `queue-outbound-relay-${ordinal}`, namespace: 'mail', labels };
      const spec = { resources: { requests: { storage: '1Mi' } } };
      world.cluster.put(persistentVolumeClaims, {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata,
        spec,
      } as KubeObject);
    }
    const tried: string[] = [];
    world.cluster.onRequest = ({ path }) => {
      if (!path.includes('/persistentvolumeclaims/')) return;
      tried.push(path.slice(path.lastIndexOf('/') + 1));
      throw new ApiError('test', { code: 403, reason: 'Forbidden' });
    };
    const started = world.start();
    assert.equal(await started.pass(), 600_000);
    assert.deepEqual(tried.sort(), ['queue-outbound-relay-0', 'queue-outbound-relay-1']);
    world.cluster.onRequest = ({ path }) => {
      if (path.includes('/persistentvolumeclaims/'))
        throw new ApiError('test', { code: 503, reason: 'ServiceUnavailable' });
    };
    await assert.rejects(started.pass(), ApiError, 'trouble of the server is no refusal');
  });
});
