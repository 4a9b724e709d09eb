/** ConfigMaps behind a stub: lists in pages, watches with history, compaction, and a fault for the next list or watch. */
import type { ServerResponse } from 'node:http';
import { type ConfigMap, configMap } from './fakes.ts';
import { refuse, reply, type Script, type SeenRequest } from './stub-api-server.ts';

interface Event {
  readonly version: number;
  readonly line: string;
}

export class StubCollection {
  /** Each takes one request, in order, instead of the right answer. */
  readonly listFaults: Script[] = [];
  readonly watchFaults: Script[] = [];
  readonly watches = new Set<ServerResponse>();
  readonly lists: SeenRequest[] = [];
  readonly watchRequests: SeenRequest[] = [];
  readonly #objects = new Map<string, ConfigMap>();
  #events: Event[] = [];
  #compactedAt = 0;
  #version = 100;

  get version(): string {
    return String(this.#version);
  }

  put(name: string, data: Readonly<Record<string, string>> = {}): void {
    this.#version += 1;
    const type = this.#objects.has(name) ? 'MODIFIED' : 'ADDED';
    const object = configMap(name, this.version, data);
    this.#objects.set(name, object);
    this.#tell({ type, object: { ...object, metadata: { ...object.metadata, managedFields: [{ manager: 'x' }] } } });
  }

  delete(name: string): void {
    const object = this.#objects.get(name);
    this.#objects.delete(name);
    this.#version += 1;
    if (object === undefined) return;
    this.#tell({
      type: 'DELETED',
      object: { ...object, metadata: { ...object.metadata, resourceVersion: this.version } },
    });
  }

  bookmark(): void {
    this.#version += 1;
    const object = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { resourceVersion: this.version } };
    for (const watch of this.watches) watch.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** Of what was before now, nothing can be watched or continued any more. */
  compact(): void {
    this.#events = [];
    this.#compactedAt = this.#version;
  }

  /** Compacts before the next request for a page. */
  compactLater(): void {
    this.listFaults.push((request, response) => {
      this.#version += 1;
      this.compact();
      this.#list(request, response);
    });
  }

  endWatches(): void {
    this.#endAll([...this.watches]);
  }

  /** Ends the watches after changes that they are not told of and that no watch can be told of any more. */
  loseWatches(change: () => void): void {
    const lost = [...this.watches];
    this.watches.clear();
    change();
    this.compact();
    this.#endAll(lost);
  }

  #endAll(watches: readonly ServerResponse[]): void {
    for (const watch of watches) {
      this.watches.delete(watch);
      watch.end();
    }
  }

  readonly script: Script = (request, response) => {
    if (request.method !== 'GET' || !request.path.endsWith('/configmaps')) return false;
    const isWatch = request.query.get('watch') === 'true';
    (isWatch ? this.watchRequests : this.lists).push(request);
    const fault = (isWatch ? this.watchFaults : this.listFaults).shift();
    if (fault !== undefined) return fault(request, response);
    return isWatch ? this.#watch(request, response) : this.#list(request, response);
  };

  #list({ query }: SeenRequest, response: ServerResponse): void {
    const limit = Number(query.get('limit') ?? 1000);
    const [from = 0, listVersion = this.#version] = (query.get('continue') ?? '')
      .split('/')
      .filter(Boolean)
      .map(Number);
    if (listVersion < this.#compactedAt) {
      refuse(response, 410, 'Expired');
      return;
    }
    const all = [...this.#objects.values()];
    const more = from + limit < all.length ? `${from + limit}/${listVersion}` : '';
    // As a real server does: without kind and apiVersion on each.
    const items = all.slice(from, from + limit).map(({ metadata, data }) => ({ metadata, data }));
    reply(response, {
      kind: 'ConfigMapList',
      metadata: { resourceVersion: String(listVersion), continue: more },
      items,
    });
  }

  #watch({ query }: SeenRequest, response: ServerResponse): void {
    const since = Number(query.get('resourceVersion'));
    if (since < this.#compactedAt) {
      refuse(response, 410, 'Expired');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    this.watches.add(response);
    response.on('close', () => this.watches.delete(response));
    for (const { version, line } of this.#events) if (version > since) response.write(line);
  }

  #tell(event: object): void {
    const line = `${JSON.stringify(event)}\n`;
    this.#events.push({ version: this.#version, line });
    for (const watch of this.watches) watch.write(line);
  }
}
