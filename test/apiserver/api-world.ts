/** One real API server for a test file, and what its tests do to it beside the code under test. */
import { createClient, type KubeClient } from '../../operator/kube/client.ts';
import { isNotFound } from '../../operator/kube/errors.ts';
import { type KubeObject, type ObjectName, pathOf, type Resource } from '../../operator/kube/object.ts';
import { systemClock } from '../../relay/clock.ts';
import { KeptMetrics } from '../operator/kube/fakes.ts';
import { type ApiServerOptions, startApiServer, type TestApiServer } from '../support/apiserver.ts';

export interface ApiWorld extends AsyncDisposable {
  readonly server: TestApiServer;
  /** The administrator's, by the code under test. */
  readonly client: KubeClient;
  readonly metrics: KeptMetrics;
  create<T extends KubeObject>(resource: Resource, object: T): Promise<T>;
  get<T extends KubeObject>(resource: Resource, name: ObjectName): Promise<T>;
  /** Undefined: it is not there. */
  find<T extends KubeObject>(resource: Resource, name: ObjectName): Promise<T | undefined>;
  /** A merge patch by somebody else than us, as `kubectl edit` makes it. */
  edit(resource: Resource, name: ObjectName, change: object): Promise<void>;
  remove(resource: Resource, name: ObjectName): Promise<void>;
}

export const { signal: never } = new AbortController();

export const namespaces: Resource = { apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces', isNamespaced: false };

export async function startWorld(options: ApiServerOptions = {}): Promise<ApiWorld> {
  const server = await startApiServer(options);
  const metrics = new KeptMetrics();
  const client = createClient({ connection: server.admin, clock: systemClock, metrics });
  const world: ApiWorld = {
    server,
    client,
    metrics,
    create: (resource, object) =>
      client.request({
        method: 'POST',
        path: pathOf(resource, { namespace: object.metadata.namespace }),
        body: object,
        signal: never,
      }),
    get: (resource, name) => client.request({ method: 'GET', path: pathOf(resource, name), signal: never }),
    async find(resource, name) {
      try {
        return await world.get(resource, name);
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    async edit(resource, name, change) {
      const contentType = 'application/merge-patch+json';
      const query = { fieldManager: 'somebody' };
      await client.request({
        method: 'PATCH',
        path: pathOf(resource, name),
        query,
        body: change,
        contentType,
        signal: never,
      });
    },
    async remove(resource, name) {
      await client.request({ method: 'DELETE', path: pathOf(resource, name), signal: never });
    },
    async [Symbol.asyncDispose]() {
      client.close();
      await server[Symbol.asyncDispose]();
    },
  };
  await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'mail' } });
  return world;
}
