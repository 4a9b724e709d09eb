import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ownFields } from '../../../operator/kube/transform.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { configMap } from './fakes.ts';
import { never, setUp, watching } from './reflector-world.ts';
import { refuse, reply } from './stub-api-server.ts';

test('what is there comes first, page by page; then changes as they happen', async t => {
  const existing = ['a', 'b', 'c', 'd', 'e'];
  const { collection, reflector, changes, initial, names } = await setUp(t, { existing, pageSize: 2 });
  await reflector.whenSynced(never);
  assert.deepEqual(names(), existing);
  assert.deepEqual(initial, existing);
  assert.deepEqual(
    collection.lists.map(({ query }) => query.get('limit')),
    ['2', '2', '2'],
  );
  await watching(collection);
  collection.put('f');
  collection.put('a', { key: 'value' });
  collection.delete('b');
  await waitUntil('the last change', () => changes.includes('deleted b'));
  assert.deepEqual(changes.slice(5), ['added f', 'updated a', 'deleted b']);
  assert.deepEqual(names(), ['a', 'c', 'd', 'e', 'f']);
  assert.deepEqual(reflector.store.get('mail/a')?.data, { key: 'value' });
  assert.equal(initial.length, 5, 'a change after the first list is not initial');
});

test('an object has its kind and apiVersion whether it came by list or by watch, and no managedFields', async t => {
  const { collection, reflector, changes } = await setUp(t, { existing: ['a'] });
  await watching(collection);
  collection.put('b');
  await waitUntil('the change', () => changes.includes('added b'));
  for (const object of reflector.store.values()) {
    assert.equal(object.kind, 'ConfigMap');
    assert.equal(object.apiVersion, 'v1');
    assert.equal(object.metadata.managedFields, undefined);
  }
});

test('selectors and namespace narrow list and watch alike; a watch asks for bookmarks and an end within 5 to 10 minutes', async t => {
  const labelSelector = 'app.kubernetes.io/managed-by=postroad';
  const { collection } = await setUp(t, { namespace: 'mail', labelSelector, fieldSelector: 'metadata.name=a' });
  await watching(collection);
  for (const request of [...collection.lists, ...collection.watchRequests]) {
    assert.equal(request.path, '/api/v1/namespaces/mail/configmaps');
    assert.equal(request.query.get('labelSelector'), labelSelector);
    assert.equal(request.query.get('fieldSelector'), 'metadata.name=a');
  }
  const [watch] = collection.watchRequests;
  assert.equal(watch?.query.get('allowWatchBookmarks'), 'true');
  assert.equal(watch?.query.get('timeoutSeconds'), '450');
});

test('a watch that the server ends in its time goes on from the last bookmark, without a list', async t => {
  const { collection, changes } = await setUp(t, { existing: ['a'] });
  await watching(collection);
  collection.bookmark();
  const { version } = collection;
  // The bookmark is only then read for sure.
  collection.put('b');
  await waitUntil('the change', () => changes.includes('added b'));
  collection.endWatches();
  await waitUntil('the second watch', () => collection.watchRequests.length === 2);
  assert.equal(collection.watchRequests[1]?.query.get('resourceVersion'), collection.version);
  assert.notEqual(version, '100');
  assert.equal(collection.lists.length, 1);
});

test('what happened while no watch was open is told when there is one again', async t => {
  const { collection, changes, dropConnections } = await setUp(t, { existing: ['a'] });
  await watching(collection);
  dropConnections();
  collection.put('b');
  collection.delete('a');
  await waitUntil('both changes', () => changes.length === 3);
  assert.deepEqual(changes.slice(1), ['added b', 'deleted a']);
  assert.equal(collection.lists.length, 1);
});

for (const { fault, code, isInStream } of [
  { fault: 'a 410 in answer to a watch', code: 410, isInStream: false },
  { fault: 'a 410 within the stream', code: 410, isInStream: true },
]) {
  test(`${fault} is met with a new list, of which only the differences are told`, async t => {
    const { collection, changes, names, metrics } = await setUp(t, { existing: ['same', 'changed', 'deleted'] });
    await watching(collection);
    if (isInStream) {
      collection.watchFaults.push((_request, response) => {
        const status = { kind: 'Status', code, reason: 'Expired', message: 'too old resource version' };
        response.end(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
      });
    }
    const [watch] = collection.watches;
    collection.watches.clear();
    collection.put('changed', { by: 'somebody' });
    collection.delete('deleted');
    collection.put('new');
    if (!isInStream) collection.compact();
    watch?.end();
    await waitUntil('the differences', () => changes.length === 6);
    assert.deepEqual(changes.slice(3).sort(), ['added new', 'deleted deleted', 'updated changed']);
    assert.deepEqual(names(), ['changed', 'new', 'same']);
    assert.equal(collection.lists.length, 2);
    assert.equal(metrics.get('postroad_operator_watch_failures_total', { kind: 'ConfigMap', fault: '410' }), 1);
  });
}

test('a list whose version is compacted away between two pages is begun anew, and nothing is told twice', async t => {
  const { collection, reflector, changes } = await setUp(t, {
    pageSize: 2,
    existing: ['a', 'b', 'c'],
    transform: object => {
      if (object.metadata.name === 'b' && collection.lists.length === 1) collection.compactLater();
      return object;
    },
  });
  await reflector.whenSynced(never);
  assert.deepEqual(changes, ['added a', 'added b', 'added c']);
  assert.equal(collection.lists.length, 4);
});

const cutLine = (_request: unknown, response: ServerResponse): void => {
  response.writeHead(200);
  response.end('{"type":"ADDED","object":{"metadata":{"na');
};

for (const [fault, script] of [
  ['401', (_: unknown, response: ServerResponse) => refuse(response, 401, 'Unauthorized')],
  ['403', (_: unknown, response: ServerResponse) => refuse(response, 403, 'Forbidden')],
  ['404', (_: unknown, response: ServerResponse) => refuse(response, 404, 'NotFound')],
  ['500', (_: unknown, response: ServerResponse) => refuse(response, 500, 'InternalError')],
  ['503', (_: unknown, response: ServerResponse) => refuse(response, 503, 'ServiceUnavailable')],
  ['429', (_: unknown, response: ServerResponse) => refuse(response, 429, 'TooManyRequests')],
  ['Unreachable', (_: unknown, response: ServerResponse) => void response.destroy()],
  ['BadAnswer', cutLine],
] as const) {
  test(`${fault} in answer to lists and watches is survived, as often as it comes`, async t => {
    const collectionFaults = Array.from({ length: 4 }, () => script);
    const { collection, reflector, changes, metrics } = await setUp(t, { existing: ['a'] });
    await watching(collection);
    // Each 401 is asked for twice: with the token at hand, and with the one just read.
    collection.watchFaults.push(...collectionFaults);
    collection.endWatches();
    await waitUntil(
      'a watch after the faults',
      () => collection.watchFaults.length === 0 && collection.watches.size === 1,
    );
    collection.put('b');
    await waitUntil('the change', () => changes.includes('added b'));
    collection.listFaults.push(...collectionFaults);
    collection.loseWatches(() => collection.put('c'));
    await waitUntil('a list after the faults', () => collection.listFaults.length === 0 && reflector.store.size === 3);
    const failures = metrics.get('postroad_operator_watch_failures_total', { kind: 'ConfigMap', fault });
    assert.ok(failures >= 4, `${failures} failures were counted`);
  });
}

test('control: without a fault there is one list and no failure', async t => {
  const { collection, reflector, metrics } = await setUp(t, { existing: ['a'] });
  await watching(collection);
  await reflector.whenSynced(never);
  assert.equal(collection.lists.length, 1);
  assert.equal(metrics.get('postroad_operator_watch_failures_total', { kind: 'ConfigMap', fault: '401' }), 0);
});

test('a line cut short loses nothing: the watch goes on from before it', async t => {
  const { collection, changes, dropConnections } = await setUp(t);
  await watching(collection);
  const [watch] = collection.watches;
  await new Promise<void>(resolve => watch?.write('{"type":"ADDED","object":{"metad', () => resolve()));
  dropConnections();
  collection.put('a');
  await waitUntil('the change', () => changes.length === 1);
  assert.deepEqual(changes, ['added a']);
});

test('a page that is too large to be read is asked for in halves', async t => {
  const { collection, reflector, names } = await setUp(t, { existing: ['a', 'b', 'c', 'd'], pageSize: 4 });
  await reflector.whenSynced(never);
  const stopped = collection.lists.length;
  collection.listFaults.push((_request, response) => reply(response, { items: [{ data: 'x'.repeat(70 * 2 ** 20) }] }));
  await watching(collection);
  collection.loseWatches(() => collection.put('e'));
  await waitUntil('all', () => names().length === 5, { limitMs: 20_000 });
  const limits = collection.lists.slice(stopped).map(({ query }) => query.get('limit'));
  assert.deepEqual(limits.slice(0, 2), ['4', '2']);
});

test('a kind that is not installed is waited for: not synced, and found when it comes', async t => {
  const notFound = (_request: unknown, response: ServerResponse): void => refuse(response, 404, 'NotFound');
  const { collection, reflector } = await setUp(t, { existing: ['a'], backoff: { firstMs: 20, longestMs: 20 } });
  collection.listFaults.push(...Array.from({ length: 3 }, () => notFound));
  await waitUntil('two lists', () => collection.lists.length >= 2);
  assert.equal(reflector.isSynced, false);
  await reflector.whenSynced(never);
  assert.equal(reflector.store.size, 1);
});

test('who waits for a kind that never comes can stop waiting', async t => {
  const { collection, reflector } = await setUp(t);
  collection.listFaults.push(...Array.from({ length: 1000 }, () => cutLine));
  const given = new AbortController();
  const waiting = reflector.whenSynced(given.signal);
  given.abort(new Error('stopped'));
  await assert.rejects(waiting, /stopped/);
  await assert.rejects(reflector.whenSynced(given.signal), /stopped/);
});

test('an optional kind that is not installed counts as synced and empty, and is found when it comes', async t => {
  const notFound = (_request: unknown, response: ServerResponse): void => refuse(response, 404, 'NotFound');
  const backoff = { firstMs: 20, longestMs: 20 };
  const { collection, reflector, initial, changes } = await setUp(t, { isOptional: true, existing: ['a'], backoff });
  collection.listFaults.push(...Array.from({ length: 3 }, () => notFound));
  await reflector.whenSynced(never);
  assert.equal(reflector.store.size, 0);
  await waitUntil('the object', () => changes.includes('added a'));
  assert.deepEqual(initial, []);
});

test('a handler that throws is counted, and keeps neither the others nor the next change from being told', async t => {
  const { collection, reflector, changes, metrics } = await setUp(t);
  const seen: string[] = [];
  reflector.onChange(() => {
    throw new Error('a bug');
  });
  reflector.onChange(({ key }) => seen.push(key));
  await watching(collection);
  collection.put('a');
  collection.put('b');
  await waitUntil('both', () => changes.length === 2);
  assert.deepEqual(seen, ['mail/a', 'mail/b']);
  assert.equal(metrics.get('postroad_operator_handler_errors_total', { kind: 'ConfigMap' }), 2);
});

test('an index finds objects by what they say, and forgets what none says any more', async t => {
  const { collection, reflector, changes } = await setUp(t, { existing: ['a'] });
  await reflector.whenSynced(never);
  const byOwner = reflector.addIndex(({ data = {} }) => (data['owner'] === undefined ? [] : [data['owner']]));
  const owned = (owner: string): string[] =>
    byOwner
      .get(owner)
      .map(({ metadata }) => metadata.name)
      .sort();
  await watching(collection);
  collection.put('a', { owner: 'x' });
  collection.put('b', { owner: 'x' });
  await waitUntil('both', () => changes.includes('added b'));
  assert.deepEqual(owned('x'), ['a', 'b']);
  collection.put('a', { owner: 'y' });
  collection.delete('b');
  await waitUntil('the deletion', () => changes.includes('deleted b'));
  assert.deepEqual([owned('x'), owned('y')], [[], ['a']]);
});

test('a stopped reflector has closed its connection and tells nothing more', async t => {
  const { collection, changes, stop } = await setUp(t, { existing: ['a'] });
  await watching(collection);
  await stop();
  await waitUntil('the end of the watch', () => collection.watches.size === 0);
  collection.put('b');
  assert.deepEqual(changes, ['added a']);
});

test('ownFields reads what the server says is ours, of an object as it came', () => {
  const fieldsV1 = { 'f:data': { 'f:key': {} } };
  const managedFields = [
    { manager: 'kubectl', operation: 'Apply', fieldsV1: {} },
    { manager: 'postroad', operation: 'Update', fieldsV1: {} },
    { manager: 'postroad', operation: 'Apply', fieldsV1 },
    { manager: 'postroad', operation: 'Apply', subresource: 'status', fieldsV1: { 'f:status': {} } },
  ];
  const object = configMap('a', '1');
  const live = { ...object, metadata: { ...object.metadata, managedFields } };
  assert.deepEqual(ownFields(live, 'postroad', ''), fieldsV1);
  assert.deepEqual(ownFields(live, 'postroad', 'status'), { 'f:status': {} });
  assert.equal(ownFields(live, 'nobody', ''), undefined);
});
