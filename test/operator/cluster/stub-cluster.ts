/** Objects of any kind behind a stub server: listed and watched, in all namespaces or in one; selectors are kept, not applied. */
import type { ServerResponse } from 'node:http';
import type { KubeObject, Resource } from '../../../operator/kube/object.ts';
import { reply, type SeenRequest } from '../kube/stub-api-server.ts';

interface Watch {
  readonly plural: string;
  readonly namespace: string | undefined;
  readonly response: ServerResponse;
}

export class StubCluster {
  /** Group and version with plural, as in a path: what the server does not know. */
  readonly unknown = new Set<string>();
  readonly lists: string[] = [];
  /** As `secrets app=x`. */
  readonly selections = new Set<string>();
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #watches = new Set<Watch>();
  #version = 1;

  put({ plural }: Resource, object: KubeObject): void {
    this.#version += 1;
    const { namespace, name } = object.metadata;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    const all = this.#objects.get(plural) ?? new Map<string, KubeObject>();
    const key = `${namespace}/${name}`;
    const type = all.has(key) ? 'MODIFIED' : 'ADDED';
    this.#objects.set(plural, all.set(key, stored));
    this.#tell(plural, type, stored);
  }

  delete({ plural }: Resource, namespace: string, name: string): void {
    const all = this.#objects.get(plural);
    const object = all?.get(`${namespace}/${name}`);
    all?.delete(`${namespace}/${name}`);
    this.#version += 1;
    if (object !== undefined) this.#tell(plural, 'DELETED', object);
  }

  /** The server has lost the kind: its watches end. */
  forgetKind(plural: string): void {
    this.unknown.add(plural);
    this.#objects.delete(plural);
    for (const watch of this.#watches) if (watch.plural === plural) watch.response.end();
  }

  watching(plural: string): boolean {
    return [...this.#watches].some(watch => watch.plural === plural);
  }

  /** Of single objects: so many more answers are a failure of the server. */
  failGets = 0;

  readonly script = ({ path, query }: SeenRequest, response: ServerResponse): unknown => {
    const groups = /^\/api(?:s\/[^/]+)?\/[^/]+(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[a-z]+)$/.exec(
      path,
    )?.groups;
    const { plural = '', namespace } = groups ?? {};
    const one = /\/namespaces\/(?<place>[^/]+)\/(?<kind>[a-z]+)\/(?<name>[^/]+)$/.exec(path)?.groups;
    if (one !== undefined) return this.#get(one['kind'] ?? '', `${one['place']}/${one['name']}`, response);
    if (groups === undefined || this.unknown.has(plural)) return false;
    if (query.get('watch') === 'true') return this.#watch({ plural, namespace, response });
    this.lists.push(path);
    this.selections.add(`${plural} ${query.get('labelSelector')}`);
    const items = [...(this.#objects.get(plural)?.values() ?? [])].filter(object => isIn(object, namespace));
    return reply(response, { metadata: { resourceVersion: String(this.#version) }, items });
  };

  #get(plural: string, key: string, response: ServerResponse): unknown {
    const object = this.#objects.get(plural)?.get(key);
    if (object === undefined) return false;
    if (this.failGets === 0) return reply(response, object);
    this.failGets -= 1;
    return reply(response, { code: 500, reason: 'InternalError' }, 500);
  }

  #watch(watch: Watch): void {
    watch.response.writeHead(200, { 'content-type': 'application/json' });
    watch.response.flushHeaders();
    this.#watches.add(watch);
    watch.response.on('close', () => this.#watches.delete(watch));
  }

  #tell(plural: string, type: string, object: KubeObject): void {
    for (const watch of this.#watches) {
      if (watch.plural === plural && isIn(object, watch.namespace))
        watch.response.write(`${JSON.stringify({ type, object })}\n`);
    }
  }
}

function isIn({ metadata }: KubeObject, namespace: string | undefined): boolean {
  return namespace === undefined || metadata.namespace === namespace;
}
