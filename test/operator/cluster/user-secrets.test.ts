import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import {
  createUserSecrets,
  nameAndVersion,
  type SecretContent,
  secretMetadata,
  type UserSecrets,
} from '../../../operator/cluster/user-secrets.ts';
import { createView } from '../../../operator/cluster/view.ts';
import { createClient } from '../../../operator/kube/client.ts';
import { systemClock } from '../../../relay/clock.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { KeptMetrics, quiet } from '../kube/fakes.ts';
import { refuse, reply, type SeenRequest, type StubApiServer, startStubApiServer } from '../kube/stub-api-server.ts';

const { signal: never } = new AbortController();

/** Secrets behind a stub: whole ones only by their names. */
class StubSecrets {
  readonly contents = new Map<string, { version: number; data: Record<string, string> }>();
  readonly gets: string[] = [];
  readonly accepts: (string | undefined)[] = [];
  readonly forbidden = new Set<string>();
  readonly #watches = new Set<ServerResponse>();
  #version = 1;

  put(key: string, text: string): void {
    const type = this.contents.has(key) ? 'MODIFIED' : 'ADDED';
    this.#version += 1;
    this.contents.set(key, { version: this.#version, data: { password: Buffer.from(text).toString('base64') } });
    this.#tell(type, key, this.#version);
  }

  delete(key: string): void {
    this.contents.delete(key);
    this.#version += 1;
    this.#tell('DELETED', key, this.#version);
  }

  readonly script = ({ path, query, headers }: SeenRequest, response: ServerResponse): unknown => {
    const [, namespace, name] = /^\/api\/v1(?:\/namespaces\/([^/]+))?\/secrets(?:\/(.+))?$/.exec(path) ?? [];
    if (name !== undefined) return this.#get(`${namespace}/${name}`, response);
    this.accepts.push(headers.accept);
    if (query.get('watch') === 'true') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      this.#watches.add(response);
      return true;
    }
    const items = [...this.contents]
      .filter(([key]) => namespace === undefined || key.startsWith(`${namespace}/`))
      .map(([key, { version }]) => this.#metadata(key, version));
    return reply(response, { metadata: { resourceVersion: String(this.#version) }, items });
  };

  #get(key: string, response: ServerResponse): unknown {
    this.gets.push(key);
    if (this.forbidden.has(key)) return refuse(response, 403, 'Forbidden');
    const found = this.contents.get(key);
    if (found === undefined) return false;
    const { metadata } = this.#metadata(key, found.version);
    return reply(response, { apiVersion: 'v1', kind: 'Secret', metadata, data: found.data });
  }

  #metadata(key: string, version: number) {
    const [namespace = '', name = ''] = key.split('/');
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': 'a copy of the password' };
    return { metadata: { namespace, name, resourceVersion: String(version), annotations } };
  }

  #tell(type: string, key: string, version: number): void {
    const object = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', ...this.#metadata(key, version) };
    for (const watch of this.#watches) watch.write(`${JSON.stringify({ type, object })}\n`);
  }
}

interface World {
  readonly stub: StubSecrets;
  readonly api: StubApiServer;
  readonly secrets: UserSecrets;
  readonly referenced: Set<string>;
  readonly told: string[];
  readonly metadata: ReturnType<typeof createView>;
  read(key: string): Promise<string>;
}

async function start(
  t: TestContext,
  { namespaces, ...options }: { namespaces?: readonly string[]; mostBytes?: number; lookAgainMs?: number } = {},
): Promise<World> {
  const stub = new StubSecrets();
  stub.put('mail/users', 'first');
  stub.put('shop/key', 'theirs');
  const api = await startStubApiServer(stub.script);
  const metrics = new KeptMetrics();
  const client = createClient({ connection: api.connection, clock: systemClock, metrics });
  const common = { client, clock: systemClock, random: Math.random, log: quiet, metrics, namespaces };
  const view = createView({ ...common, resource: secretMetadata, parts: 'Metadata', transform: nameAndVersion });
  const referenced = new Set(['mail/users', 'shop/key', 'mail/later']);
  const secrets = createUserSecrets({ ...common, view, isReferenced: key => referenced.has(key), ...options });
  const told: string[] = [];
  secrets.onChange((key, isInitial) => told.push(isInitial ? `${key} first` : key));
  const stopping = new AbortController();
  const running = [view.run(stopping.signal), secrets.run(stopping.signal)];
  t.after(async () => {
    stopping.abort();
    await Promise.all(running);
    client.close();
    await api[Symbol.asyncDispose]();
  });
  await view.whenSynced(never);
  await waitUntil('a watch', () => api.requests.some(({ query }) => query.has('watch')));
  const read = async (key: string): Promise<string> => {
    const [namespace = '', name = ''] = key.split('/');
    return textOf(await secrets.read(namespace, name, never));
  };
  return { stub, api, secrets, referenced, told, metadata: view, read };
}

function textOf(content: SecretContent): string {
  return typeof content === 'string' ? content : String(content.get('password'));
}

test('only names and versions are listed and watched; content is read by name, once a version', async t => {
  const { stub, read, told, metadata } = await start(t);
  const [list, watch] = stub.accepts;
  assert.equal(list, 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1');
  assert.equal(watch, 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1');
  assert.deepEqual(told, ['mail/users first', 'shop/key first']);
  assert.doesNotMatch(JSON.stringify([...metadata.values()]), /password/);
  assert.deepEqual(stub.gets, []);
  assert.equal(await read('mail/users'), 'first');
  assert.equal(await read('mail/users'), 'first');
  assert.deepEqual(stub.gets, ['mail/users']);
  stub.put('mail/users', 'second');
  await waitUntil('the change', () => told.includes('mail/users'));
  assert.equal(await read('mail/users'), 'second');
  assert.equal(await read('mail/users'), 'second');
  assert.equal(stub.gets.length, 2);
});

test('one that is not there is Missing without a request, and its coming is told', async t => {
  const { stub, read, told } = await start(t);
  assert.equal(await read('mail/later'), 'Missing');
  assert.deepEqual(stub.gets, []);
  stub.put('mail/later', 'now');
  await waitUntil('its coming', () => told.includes('mail/later'));
  assert.equal(await read('mail/later'), 'now');
  stub.delete('mail/later');
  await waitUntil('its end', () => told.filter(key => key === 'mail/later').length === 2);
  assert.equal(await read('mail/later'), 'Missing');
});

test('what nobody refers to is neither told nor kept', async t => {
  const { stub, read, told, referenced, secrets } = await start(t);
  stub.put('mail/unknown', 'x');
  await read('mail/users');
  referenced.delete('mail/users');
  secrets.release('mail/users');
  stub.put('mail/users', 'third');
  // The watch tells in order: once this is told, what came before would have been.
  stub.put('shop/key', 'changed');
  await waitUntil('the last change', () => told.includes('shop/key'));
  assert.deepEqual(told.slice(2), ['shop/key']);
  referenced.add('mail/users');
  assert.equal(await read('mail/users'), 'third');
  assert.deepEqual(stub.gets, ['mail/users', 'mail/users']);
});

test('what is kept is bounded: beyond it the oldest is read again', async t => {
  const { stub, read } = await start(t, { mostBytes: 20 });
  await read('mail/users');
  await read('shop/key');
  assert.equal(await read('mail/users'), 'first');
  assert.deepEqual(stub.gets, ['mail/users', 'shop/key', 'mail/users']);
});

test('outside the namespaces that are watched, one is read if that is allowed, and looked at again', async t => {
  const { stub, read, told } = await start(t, { namespaces: ['mail'], lookAgainMs: 20 });
  stub.forbidden.add('shop/key');
  assert.equal(await read('shop/key'), 'Forbidden');
  const asked = stub.gets.length;
  assert.equal(await read('shop/key'), 'Forbidden');
  assert.ok(told.length === 1, 'nothing has changed');
  await waitUntil('another look', () => stub.gets.length > asked);
  stub.forbidden.clear();
  await waitUntil('the change', () => told.includes('shop/key'));
  assert.equal(await read('shop/key'), 'theirs');
});
