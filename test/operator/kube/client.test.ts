import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { type ClientOptions, createClient, type KubeClient } from '../../../operator/kube/client.ts';
import { ApiError, ConnectionError } from '../../../operator/kube/errors.ts';
import { systemClock } from '../../../relay/clock.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { createTestCa } from '../../support/test-ca.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { KeptMetrics } from './fakes.ts';
import { refuse, reply, type Script, type StubApiServer, type StubTls, startStubApiServer } from './stub-api-server.ts';

const path = '/api/v1/namespaces/mail/configmaps';
const { signal } = new AbortController();

interface Setup {
  readonly stub: StubApiServer;
  readonly client: KubeClient;
  readonly metrics: KeptMetrics;
}

async function setUp(
  t: TestContext,
  script: Script,
  { tls, ...options }: Partial<ClientOptions> & { readonly tls?: StubTls } = {},
): Promise<Setup> {
  const stub = await startStubApiServer(script, tls);
  const metrics = new KeptMetrics();
  const client = createClient({ connection: stub.connection, clock: systemClock, metrics, ...options });
  t.after(async () => {
    client.close();
    await stub[Symbol.asyncDispose]();
  });
  return { stub, client, metrics };
}

async function faultOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => assert.fail('it was answered'),
    (error: unknown) => error,
  );
}

function isConnectionFault(error: unknown, fault: ConnectionError['fault']): boolean {
  assert.ok(error instanceof ConnectionError, String(error));
  assert.equal(error.fault, fault);
  return true;
}

test('an answer comes as JSON; the request said who asks and what it wants', async t => {
  const { stub, client, metrics } = await setUp(t, (_request, response) => reply(response, { items: [] }));
  const query = { limit: 5, labelSelector: 'a=b,c', continue: undefined };
  assert.deepEqual(await client.request({ method: 'GET', path, query, signal }), { items: [] });
  const [seen] = stub.requests;
  assert.equal(seen?.headers.authorization, 'Bearer stub');
  assert.equal(seen?.headers['user-agent'], 'postroad');
  assert.deepEqual(
    [...(seen?.query ?? [])],
    [
      ['limit', '5'],
      ['labelSelector', 'a=b,c'],
    ],
  );
  assert.equal(metrics.get('postroad_operator_requests_total', { method: 'GET', code: '200' }), 1);
});

test('a refusal carries its status, its reason and how long to wait', async t => {
  const { client, metrics } = await setUp(t, (_request, response) =>
    refuse(response, 429, 'TooManyRequests', { headers: { 'retry-after': '7' } }),
  );
  const error = await faultOf(client.request({ method: 'GET', path, signal }));
  assert.ok(error instanceof ApiError);
  assert.deepEqual([error.status, error.reason, error.retryAfterMs], [429, 'TooManyRequests', 7000]);
  assert.equal(metrics.get('postroad_operator_requests_total', { method: 'GET', code: '429' }), 1);
});

test('how long to wait is taken from the body when no header says it, and a date in the header is none', async t => {
  const { client } = await setUp(t, (_request, response) =>
    refuse(response, 503, 'ServiceUnavailable', {
      headers: { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' },
      details: { retryAfterSeconds: 3 },
    }),
  );
  const error = await faultOf(client.request({ method: 'GET', path, signal }));
  assert.equal(error instanceof ApiError && error.retryAfterMs, 3000);
});

test('a refusal without a Status, as a proxy sends it, is a refusal all the same', async t => {
  const { client } = await setUp(t, (_request, response) => response.writeHead(502).end('<html>Bad Gateway'));
  const error = await faultOf(client.request({ method: 'GET', path, signal }));
  assert.ok(error instanceof ApiError);
  assert.deepEqual([error.status, error.reason], [502, 'Unknown']);
  assert.match(error.message, /Bad Gateway/);
});

test('an apply without force names the fields that others own', async t => {
  const causes = [{ reason: 'FieldManagerConflict', message: 'conflict with "hpa"', field: '.spec.replicas' }];
  const { client } = await setUp(t, (_request, response) => refuse(response, 409, 'Conflict', { details: { causes } }));
  const error = await faultOf(client.request({ method: 'PATCH', path, body: {}, signal }));
  assert.deepEqual(error instanceof ApiError && error.conflicts, ['.spec.replicas']);
});

/** Takes only the newest of the tokens it gave out. */
function rotatingCredentials(stub: StubApiServer): {
  readonly connection: StubApiServer['connection'];
  reads(): number;
} {
  let reads = 0;
  return {
    reads: () => reads,
    connection: {
      ...stub.connection,
      credentials: async () => ({ headers: { authorization: `Bearer ${++reads}` }, tls: {} }),
    },
  };
}

test('after a 401 the token is read again and the request repeated once', async t => {
  const { stub, metrics } = await setUp(t, ({ headers }, response) =>
    headers.authorization === 'Bearer 2' ? reply(response, { ok: true }) : refuse(response, 401, 'Unauthorized'),
  );
  const { connection, reads } = rotatingCredentials(stub);
  const client = createClient({ connection, clock: systemClock, metrics });
  t.after(() => client.close());
  assert.deepEqual(await client.request({ method: 'POST', path, body: {}, signal }), { ok: true });
  assert.equal(reads(), 2);
  await client.request({ method: 'GET', path, signal });
  assert.equal(reads(), 2, 'a token that is good is kept');
});

test('control: a token that is refused twice is a refusal', async t => {
  const { stub, metrics } = await setUp(t, (_request, response) => refuse(response, 401, 'Unauthorized'));
  const { connection } = rotatingCredentials(stub);
  const client = createClient({ connection, clock: systemClock, metrics });
  t.after(() => client.close());
  const error = await faultOf(client.request({ method: 'GET', path, signal }));
  assert.equal(error instanceof ApiError && error.status, 401);
  assert.equal(stub.requests.length, 2);
});

test('a token is read again after a minute, as kubelet replaces it', async t => {
  const { stub, metrics } = await setUp(t, (_request, response) => reply(response, {}));
  const clock = new FakeClock();
  const { connection } = rotatingCredentials(stub);
  const client = createClient({ connection, clock, metrics });
  t.after(() => client.close());
  for (const waitMs of [0, 59_000, 1000]) {
    await clock.advance(waitMs);
    await client.request({ method: 'GET', path, signal });
  }
  assert.deepEqual(
    stub.requests.map(({ headers }) => headers.authorization),
    ['Bearer 1', 'Bearer 1', 'Bearer 2'],
  );
});

test('an answer that does not come in time is a time-out', async t => {
  const { client } = await setUp(t, () => undefined, { timeoutMs: 50 });
  isConnectionFault(await faultOf(client.request({ method: 'GET', path, signal })), 'Timeout');
});

test('an answer that begins and stalls is a time-out too', async t => {
  const { client } = await setUp(t, (_request, response) => response.writeHead(200).write('{"items":['), {
    timeoutMs: 100,
  });
  isConnectionFault(await faultOf(client.request({ method: 'GET', path, signal })), 'Timeout');
});

test('a request that is given up rejects with the reason for it', async t => {
  const { stub, client } = await setUp(t, () => undefined);
  const given = new AbortController();
  const answer = faultOf(client.request({ method: 'GET', path, signal: given.signal }));
  await waitUntil('the request', () => stub.requests.length === 1);
  given.abort(new Error('lease lost'));
  assert.match(String(await answer), /lease lost/);
});

test('an answer that is no JSON is a bad answer, and is not quoted', async t => {
  const { client } = await setUp(t, (_request, response) => response.writeHead(200).end('{"password":"hunter2"'));
  const error = await faultOf(client.request({ method: 'GET', path, signal }));
  isConnectionFault(error, 'BadAnswer');
  assert.doesNotMatch(`${error} ${(error as Error).cause}`, /hunter2/);
});

test('an answer that is too large is not held', async t => {
  const { client } = await setUp(t, (_request, response) => reply(response, { data: 'x'.repeat(5000) }), {
    largestAnswerBytes: 4096,
  });
  isConnectionFault(await faultOf(client.request({ method: 'GET', path, signal })), 'TooLarge');
});

test('a connection that breaks within an answer is a fault, not a short answer', async t => {
  const { client } = await setUp(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"items":[]}', () => response.destroy());
  });
  isConnectionFault(await faultOf(client.request({ method: 'GET', path, signal })), 'Unreachable');
});

for (const { method, isRepeated } of [
  { method: 'GET', isRepeated: true },
  { method: 'PATCH', isRepeated: true },
  { method: 'POST', isRepeated: false },
] as const) {
  test(`a ${method} by an idle connection that the server has just closed is ${isRepeated ? '' : 'not '}repeated`, async t => {
    let requests = 0;
    const { client } = await setUp(t, (_request, response) => {
      requests += 1;
      if (requests === 2) response.destroy();
      else reply(response, { requests });
    });
    await client.request({ method: 'GET', path, signal });
    const second = client.request({ method, path, signal, ...(method === 'GET' ? {} : { body: {} }) });
    if (isRepeated) assert.deepEqual(await second, { requests: 3 });
    else isConnectionFault(await faultOf(second), 'Unreachable');
  });
}

test('control: a new connection that is closed is a fault at once', async t => {
  const { stub, client } = await setUp(t, (_request, response) => response.destroy());
  isConnectionFault(await faultOf(client.request({ method: 'GET', path, signal })), 'Unreachable');
  assert.equal(stub.requests.length, 1);
});

test('requests one after the other share a connection', async t => {
  const { stub, client } = await setUp(t, (_request, response) => reply(response, {}));
  for (let i = 0; i < 5; i++) await client.request({ method: 'GET', path, signal });
  assert.deepEqual(new Set(stub.requests.map(({ connection }) => connection)), new Set([1]));
});

test('requests and watches leave no trace on the signal that outlives them', async t => {
  const { client } = await setUp(t, (_request, response) => reply(response, {}));
  const { signal: lasting } = new AbortController();
  for (let i = 0; i < 20; i++) await client.request({ method: 'GET', path, signal: lasting });
  for (let i = 0; i < 20; i++) {
    const lines = await client.watch({ path, signal: lasting });
    await assert.rejects(lines.next(), /cut short/);
  }
  assert.equal(getEventListeners(lasting, 'abort').length, 0);
});

test('the server proves itself by the certificate authority; credentials that change take a new connection', async t => {
  await using folder = await temporaryFolder();
  const [ca, stranger] = [await createTestCa(`${folder.path}/a`), await createTestCa(`${folder.path}/b`)];
  const files = await ca.issue('kubernetes.test');
  const tls = { ...files, caFile: ca.certificateFile, servername: 'kubernetes.test' };
  const { stub, client, metrics } = await setUp(t, (_request, response) => reply(response, { ok: true }), { tls });
  const refused = client.request({
    ...{ method: 'GET', path, signal },
    beforeSend() {
      throw new Error('not yet');
    },
  });
  await assert.rejects(refused, /not yet/);
  assert.deepEqual(stub.requests, []);
  assert.deepEqual(await client.request({ method: 'GET', path, signal }), { ok: true });

  const trusted = (await stub.connection.credentials()).tls.ca;
  const strange = await readFile(stranger.certificateFile);
  const clock = new FakeClock();
  let trustedNow = true;
  const connection = {
    ...stub.connection,
    credentials: async () => ({
      headers: {},
      tls: { ca: (trustedNow ? trusted : strange) ?? '', servername: 'kubernetes.test' },
    }),
  };
  const other = createClient({ connection, clock, metrics });
  t.after(() => other.close());
  assert.deepEqual(await other.request({ method: 'GET', path, signal }), { ok: true });
  trustedNow = false;
  await clock.advance(61_000);
  isConnectionFault(await faultOf(other.request({ method: 'GET', path, signal })), 'Unreachable');
});

test('who may not send any more when the connection is there has sent nothing', async t => {
  const { stub, client } = await setUp(t, (_request, response) => reply(response, { ok: true }));
  let connections = 0;
  const beforeSend = (): void => {
    connections += 1;
    if (connections > 1) throw new Error('not any more');
  };
  const request = { method: 'PATCH' as const, path, body: {}, signal, beforeSend };
  assert.deepEqual(await client.request(request), { ok: true });
  await assert.rejects(client.request(request), /not any more/);
  stub.dropConnections();
  await assert.rejects(client.request(request), /not any more/);
  assert.equal(stub.requests.length, 1);
});
