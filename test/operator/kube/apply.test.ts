/** What a real API server does not do on demand; the rest is in test/apiserver/apply.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Applier, createApplier } from '../../../operator/kube/apply.ts';
import { createClient } from '../../../operator/kube/client.ts';
import { ApiError, isConflict } from '../../../operator/kube/errors.ts';
import { systemClock } from '../../../relay/clock.ts';
import { configMap, configMaps, KeptMetrics } from './fakes.ts';
import { refuse, reply, type Script, type StubApiServer, startStubApiServer } from './stub-api-server.ts';

const { signal } = new AbortController();
const wanted = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'a', namespace: 'mail' },
  data: { key: 'value' },
};

interface Setup {
  readonly stub: StubApiServer;
  readonly applier: Applier;
  readonly metrics: KeptMetrics;
}

async function setUp(t: TestContext, script: Script): Promise<Setup> {
  const stub = await startStubApiServer(script);
  const metrics = new KeptMetrics();
  const client = createClient({ connection: stub.connection, clock: systemClock, metrics });
  t.after(async () => {
    client.close();
    await stub[Symbol.asyncDispose]();
  });
  const applier = createApplier({ client, metrics, fieldManager: 'postroad', assertMayWrite: () => undefined });
  return { stub, applier, metrics };
}

test('a write is a forced apply of the whole object by our manager, checked strictly', async t => {
  const { stub, applier, metrics } = await setUp(t, (_request, response) => reply(response, configMap('a', '1')));
  const { result } = await applier.apply({ resource: configMaps, wanted, live: undefined, signal });
  assert.equal(result, 'Created');
  const [request] = stub.requests;
  assert.equal(request?.method, 'PATCH');
  assert.equal(request?.path, '/api/v1/namespaces/mail/configmaps/a');
  assert.equal(request?.headers['content-type'], 'application/apply-patch+yaml');
  assert.deepEqual(Object.fromEntries(request?.query ?? []), {
    fieldManager: 'postroad',
    force: 'true',
    fieldValidation: 'Strict',
  });
  assert.equal(metrics.get('postroad_operator_writes_total', { kind: 'ConfigMap', result: 'Created' }), 1);
});

test('a write that was sent is waited for also when it is abandoned meanwhile; none is sent after', async t => {
  const abandoning = new AbortController();
  const { stub, applier } = await setUp(t, (_request, response) => {
    abandoning.abort(new Error('abandoned'));
    reply(response, configMap('a', '1'));
  });
  const write = { resource: configMaps, wanted, live: undefined, signal: abandoning.signal };
  assert.equal((await applier.apply(write)).result, 'Created');
  await assert.rejects(applier.apply(write), /abandoned/);
  assert.equal(stub.requests.length, 1);
});

test('two writers that meet within the server (409 without a contested field) are no failure', async t => {
  let requests = 0;
  const { applier } = await setUp(t, (_request, response) => {
    requests += 1;
    if (requests < 3) refuse(response, 409, 'Conflict');
    else reply(response, configMap('a', '2'));
  });
  const live = configMap('a', '1');
  assert.equal((await applier.apply({ resource: configMaps, wanted, live, signal })).result, 'Updated');
});

test('control: a conflict that stays is a failure after three attempts, a contested field after one', async t => {
  for (const { details, attempts } of [
    { details: {}, attempts: 3 },
    { details: { causes: [{ reason: 'FieldManagerConflict', field: '.data.key' }] }, attempts: 1 },
  ]) {
    const { stub, applier, metrics } = await setUp(t, (_request, response) =>
      refuse(response, 409, 'Conflict', { details }),
    );
    await assert.rejects(applier.apply({ resource: configMaps, wanted, live: undefined, signal }), isConflict);
    assert.equal(stub.requests.length, attempts);
    assert.equal(metrics.get('postroad_operator_writes_total', { kind: 'ConfigMap', result: 'Error' }), 1);
  }
});

test('where something rewrites what we apply, one write is enough until the object changes', async t => {
  // An admission webhook that takes our annotation away: the hash is never there to be seen.
  const { stub, applier } = await setUp(t, (_request, response) => reply(response, configMap('a', '7')));
  const write = { resource: configMaps, wanted, signal };
  assert.equal((await applier.apply({ ...write, live: configMap('a', '6') })).result, 'Updated');
  for (let i = 0; i < 5; i++) {
    assert.equal((await applier.apply({ ...write, live: configMap('a', '7') })).result, 'Unchanged');
  }
  assert.equal(stub.requests.length, 1);
  await applier.apply({ ...write, live: configMap('a', '8') });
  assert.equal(stub.requests.length, 2);
});

test('an apply that the server finds to change nothing is counted as unchanged', async t => {
  const { applier } = await setUp(t, (_request, response) => reply(response, configMap('a', '7')));
  const live = configMap('a', '7');
  assert.equal((await applier.apply({ resource: configMaps, wanted, live, signal })).result, 'Unchanged');
});

test('a refusal keeps its status: 429 with how long to wait, 422 as it is', async t => {
  const { applier } = await setUp(t, (_request, response) =>
    refuse(response, 429, 'TooManyRequests', { headers: { 'retry-after': '2' } }),
  );
  await assert.rejects(applier.apply({ resource: configMaps, wanted, live: undefined, signal }), (error: unknown) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.status, error.retryAfterMs], [429, 2000]);
    return true;
  });
});

test('a name that is no path segment is refused before it is sent', async t => {
  const { stub, applier } = await setUp(t, (_request, response) => reply(response, {}));
  for (const name of ['', '..', 'a/b']) {
    const bad = { ...wanted, metadata: { name, namespace: 'mail' } };
    await assert.rejects(applier.apply({ resource: configMaps, wanted: bad, live: undefined, signal }), RangeError);
  }
  assert.equal(stub.requests.length, 0);
});
