import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Applier, appliedHashAnnotation, createApplier } from '../../operator/kube/apply.ts';
import { ApiError, isConflict } from '../../operator/kube/errors.ts';
import { type KubeObject, keyOf, type Resource } from '../../operator/kube/object.ts';
import { createReflector } from '../../operator/kube/reflector.ts';
import { keepingOwnFields } from '../../operator/kube/transform.ts';
import { systemClock } from '../../relay/clock.ts';
import { type ConfigMap, configMaps, KeptMetrics, quiet } from '../operator/kube/fakes.ts';
import { isWrite } from '../support/apiserver-audit.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, never, startWorld } from './api-world.ts';
import { ownedObjects, widgetDefinition, widgets } from './owned-objects.ts';

const fieldManager = 'postroad';
let world: ApiWorld;

before(async () => {
  world = await startWorld();
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

/** As after a restart of the operator: it remembers nothing. */
function newApplier(assertMayWrite = (): void => undefined): Applier {
  return createApplier({ client: world.client, metrics: new KeptMetrics(), fieldManager, assertMayWrite });
}

async function writes(): Promise<number> {
  return (await world.server.auditLog()).filter(request => isWrite(request) && request.userAgent === 'postroad').length;
}

function wantedMap(name: string, data: Readonly<Record<string, string>>, labels = {}): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'mail', labels }, data };
}

async function apply(wanted: ConfigMap, live: ConfigMap | undefined, applier = newApplier()): Promise<string> {
  return (await applier.apply({ resource: configMaps, wanted, live, signal: never })).result;
}

const liveMap = (name: string): Promise<ConfigMap> => world.get<ConfigMap>(configMaps, { namespace: 'mail', name });

for (const { resource, wanted } of ownedObjects) {
  test(`a ${resource.kind} that is as wanted is not written again, not even after a restart`, async () => {
    const first = await newApplier().apply({ resource, wanted, live: undefined, signal: never });
    assert.equal(first.result, 'Created');
    const live = await world.get(resource, wanted.metadata);
    const before_ = await writes();
    const second = await newApplier().apply({ resource, wanted, live, signal: never });
    assert.equal(second.result, 'Unchanged');
    assert.equal(await writes(), before_, 'the server was not asked to write');
  });

  test(`a ${resource.kind} whose label is taken by somebody is repaired`, async () => {
    await world.edit(resource, wanted.metadata, { metadata: { labels: { app: 'other' } } });
    const live = await world.get(resource, wanted.metadata);
    const repaired = await newApplier().apply({ resource, wanted, live, signal: never });
    assert.equal(repaired.result, 'Updated');
    assert.equal(repaired.object.metadata.labels?.['app'], 'relay');
  });
}

for (const { resource, wanted } of ownedObjects) {
  test(`a ${resource.kind} is made where there is none, and left as it is where somebody has one by the name`, async () => {
    const named = { ...wanted, metadata: { ...wanted.metadata, name: 'made-once' } };
    const question = { resource, wanted: named, signal: never };
    assert.equal((await newApplier().create(question)).result, 'Created');
    const first = await world.get(resource, named.metadata);
    assert.equal((await newApplier().apply({ ...question, live: first })).result, 'Unchanged', 'its fields are ours');
    const other = { ...named, metadata: { ...named.metadata, labels: { app: 'other' } } };
    const { result, object } = await newApplier().create({ ...question, wanted: other });
    assert.equal(result, 'There');
    assert.equal(object.metadata.uid, first.metadata.uid);
    assert.deepEqual(await world.get(resource, named.metadata), first);
  });
}

test('of many who make the same at once, one does', async () => {
  const made = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      newApplier().create({ resource: configMaps, wanted: wantedMap('raced', { by: `${index}` }), signal: never }),
    ),
  );
  assert.equal(made.filter(({ result }) => result === 'Created').length, 1);
  const winner = made.findIndex(({ result }) => result === 'Created');
  assert.deepEqual((await liveMap('raced')).data, { by: `${winner}` });
});

test('a value that somebody changed or removed is put back; what somebody added stays', async () => {
  const wanted = wantedMap('edited', { kept: '1', changed: '1', removed: '1' });
  await apply(wanted, undefined);
  await world.edit(configMaps, wanted.metadata, { data: { changed: '2', removed: null, added: 'by hand' } });
  assert.equal(await apply(wanted, await liveMap('edited')), 'Updated');
  assert.deepEqual((await liveMap('edited')).data, { kept: '1', changed: '1', removed: '1', added: 'by hand' });
  assert.equal(await apply(wanted, await liveMap('edited')), 'Unchanged');
});

test('control: a write of somebody that changes nothing of ours is no reason to write', async () => {
  const wanted = wantedMap('touched', { ours: '1' });
  await apply(wanted, undefined);
  await world.edit(configMaps, wanted.metadata, { data: { theirs: '1' }, metadata: { labels: { theirs: 'yes' } } });
  assert.equal(await apply(wanted, await liveMap('touched')), 'Unchanged');
});

test('a Secret given as stringData is written as data, so that a key no longer wanted goes', async () => {
  const secrets: Resource = { apiVersion: 'v1', kind: 'Secret', plural: 'secrets', isNamespaced: true };
  const metadata = { name: 'strings', namespace: 'mail' };
  const base = { apiVersion: 'v1', kind: 'Secret', metadata };
  const write = { resource: secrets, live: undefined, signal: never };
  const wanted = { ...base, stringData: { kept: 'a', dropped: 'b' }, data: { other: 'Yw==' } };
  await newApplier().apply({ ...write, wanted });
  const live = await world.get<KubeObject & { data?: object }>(secrets, metadata);
  assert.deepEqual(live.data, { kept: 'YQ==', dropped: 'Yg==', other: 'Yw==' });
  await newApplier().apply({ ...write, live, wanted: { ...base, stringData: { kept: 'a' } } });
  const after_ = await world.get<KubeObject & { data?: object }>(secrets, metadata);
  assert.deepEqual(after_.data, { kept: 'YQ==' });
});

test('what is no longer wanted goes', async () => {
  const before_ = wantedMap('shrunk', { kept: '1', dropped: '1' }, { kept: 'yes', dropped: 'yes' });
  await apply(before_, undefined);
  assert.equal(await apply(wantedMap('shrunk', { kept: '1' }, { kept: 'yes' }), await liveMap('shrunk')), 'Updated');
  const live = await liveMap('shrunk');
  assert.deepEqual(live.data, { kept: '1' });
  assert.deepEqual(live.metadata.labels, { kept: 'yes' });
});

test('an object whose hash was taken away is written again', async () => {
  const wanted = wantedMap('unmarked', { a: '1' });
  await apply(wanted, undefined);
  await world.edit(configMaps, wanted.metadata, { metadata: { annotations: { [appliedHashAnnotation]: null } } });
  assert.equal(await apply(wanted, await liveMap('unmarked')), 'Updated');
});

test('a cache that keeps only our own fields of managedFields is enough to see that nothing is to be written', async () => {
  const wanted = wantedMap('cached', { a: '1' }, { app: 'cached' });
  await apply(wanted, undefined);
  await world.edit(configMaps, wanted.metadata, { data: { theirs: '1' } });
  const common = {
    client: world.client,
    clock: systemClock,
    random: Math.random,
    log: quiet,
    metrics: new KeptMetrics(),
  };
  const transform = keepingOwnFields<ConfigMap>(fieldManager);
  const reflector = createReflector({ ...common, resource: configMaps, labelSelector: 'app=cached', transform });
  const stopping = new AbortController();
  const running = reflector.run(stopping.signal);
  await reflector.whenSynced(never);
  const cached = (): ConfigMap | undefined => reflector.store.get(keyOf(wanted.metadata));
  const before_ = await writes();
  assert.equal(await apply(wanted, cached()), 'Unchanged');
  assert.equal(await writes(), before_);
  await world.edit(configMaps, wanted.metadata, { data: { a: '2' } });
  await waitUntil('the edit', () => cached()?.data?.['a'] === '2');
  assert.equal(await apply(wanted, cached()), 'Updated');
  stopping.abort();
  await running;
});

test('a write that the cache has not yet shown is not repeated', async () => {
  const applier = newApplier();
  const wanted = wantedMap('lagging', { a: '1' });
  await apply(wanted, undefined, applier);
  const stale = await liveMap('lagging');
  const next = wantedMap('lagging', { a: '2' });
  assert.equal(await apply(next, stale, applier), 'Updated');
  const before_ = await writes();
  assert.equal(await apply(next, stale, applier), 'Unchanged');
  assert.equal(await writes(), before_);
  assert.equal(
    await apply(wantedMap('lagging', { a: '3' }), stale, applier),
    'Updated',
    'control: another wish is written',
  );
});

test('without force, a field that another manager owns is refused and named', async () => {
  await apply(wantedMap('contested', { a: '1' }), undefined);
  const theirs = createApplier({
    ...{ client: world.client, metrics: new KeptMetrics(), fieldManager: 'theirs', assertMayWrite: () => undefined },
  });
  const wanted = wantedMap('contested', { a: '2' });
  const live = await liveMap('contested');
  await assert.rejects(
    theirs.apply({ resource: configMaps, wanted, live, signal: never, force: false }),
    (error: unknown) => {
      assert.ok(error instanceof ApiError && isConflict(error));
      // The hash is contested as well.
      assert.ok(error.conflicts.includes('.data.a'), error.conflicts.join());
      return true;
    },
  );
});

test('onlyIfUnchanged refuses to write over a version that was not seen, and over an object made anew', async () => {
  const wanted = wantedMap('guarded', { a: '1' });
  await apply(wanted, undefined);
  const seen = await liveMap('guarded');
  await world.edit(configMaps, wanted.metadata, { data: { theirs: '1' } });
  const write = {
    resource: configMaps,
    wanted: wantedMap('guarded', { a: '2' }),
    signal: never,
    onlyIfUnchanged: true,
  };
  await assert.rejects(newApplier().apply({ ...write, live: seen }), isConflict);
  const current = await liveMap('guarded');
  assert.equal((await newApplier().apply({ ...write, live: current })).result, 'Updated');
  const last = await liveMap('guarded');
  await world.remove(configMaps, wanted.metadata);
  await assert.rejects(
    newApplier().apply({ ...write, wanted: wantedMap('guarded', { a: '3' }), live: last }),
    isConflict,
  );
});

test('an object is deleted once, and one of the same name that was made since stays', async () => {
  const wanted = wantedMap('deleted', { a: '1' });
  await apply(wanted, undefined);
  const live = await liveMap('deleted');
  const deletion = { resource: configMaps, live, signal: never };
  assert.equal(await newApplier().delete(deletion), 'Deleted');
  assert.equal(await newApplier().delete(deletion), 'Gone');
  await apply(wanted, undefined);
  assert.equal(await newApplier().delete(deletion), 'Gone');
  assert.deepEqual((await liveMap('deleted')).data, { a: '1' });
  await world.edit(configMaps, wanted.metadata, { data: { a: '2' } });
  const stale = { ...live, metadata: { ...live.metadata, uid: (await liveMap('deleted')).metadata.uid ?? '' } };
  await assert.rejects(newApplier().delete({ ...deletion, live: stale, onlyIfUnchanged: true }), isConflict);
});

test('whoever may not write (any more) sends nothing', async () => {
  const applier = newApplier(() => {
    throw new Error('the lease is lost');
  });
  const before_ = await writes();
  await assert.rejects(apply(wantedMap('never', {}), undefined, applier), /the lease is lost/);
  await assert.rejects(applier.delete({ resource: configMaps, live: wantedMap('never', {}), signal: never }), /lease/);
  assert.equal(await writes(), before_);
});

interface Widget extends KubeObject {
  readonly spec?: object;
  readonly status?: object;
}

test('a status is written on change alone, and leaves the spec to whoever owns it', async () => {
  const definitions: Resource = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    plural: 'customresourcedefinitions',
    isNamespaced: false,
  };
  await world.create(definitions, widgetDefinition);
  const metadata = { name: 'one', namespace: 'mail' };
  const base = { apiVersion: 'example.com/v1', kind: 'Widget', metadata };
  const widget: Widget = { ...base, spec: { size: 3 } };
  await waitUntil('the kind to be served', () =>
    world.create(widgets, widget).then(
      () => true,
      () => false,
    ),
  );
  const condition = {
    type: 'Ready',
    status: 'True',
    reason: 'Ready',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };
  const wanted: Widget = { ...base, status: { observedGeneration: 1, addresses: [], conditions: [condition] } };
  const live = (): Promise<Widget> => world.get<Widget>(widgets, metadata);
  const write = async (status: Widget): Promise<string> =>
    (await newApplier().applyStatus({ resource: widgets, wanted: status, live: await live(), signal: never })).result;
  assert.equal(await write(wanted), 'Updated');
  const after_ = await live();
  assert.deepEqual([after_.spec, after_.metadata.generation], [{ size: 3 }, 1]);
  const before_ = await writes();
  assert.equal(await write(wanted), 'Unchanged');
  assert.equal(await writes(), before_);
  const changed = { ...wanted, status: { observedGeneration: 1, conditions: [{ ...condition, status: 'False' }] } };
  assert.equal(await write(changed), 'Updated');
  assert.deepEqual((await live()).status, changed.status);
  await world.remove(widgets, metadata);
  await assert.rejects(
    newApplier().applyStatus({ resource: widgets, wanted: changed, live: after_, signal: never }),
    (error: unknown) => error instanceof ApiError && error.status === 404,
    'a status makes no object',
  );
});
