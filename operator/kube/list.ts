import type { KubeClient } from './client.ts';
import { ConnectionError, isGone } from './errors.ts';
import { type KubeObject, pathOf, type Resource } from './object.ts';

export interface Selection {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly labelSelector: string | undefined;
  readonly fieldSelector: string | undefined;
  /** What is sent of each object; `Metadata`: its name, labels and the like alone. */
  readonly parts?: 'Whole' | 'Metadata' | undefined;
}

/** The header that asks for parts of objects; undefined: whole ones. */
export function acceptOf(parts: Selection['parts'], kind: 'PartialObjectMetadata' | 'PartialObjectMetadataList') {
  return parts === 'Metadata' ? `application/json;as=${kind};g=meta.k8s.io;v=v1` : undefined;
}

export interface ListOptions extends Selection {
  readonly client: KubeClient;
  readonly signal: AbortSignal;
  readonly pageSize: number;
}

export interface Page<T extends KubeObject> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

interface ListAnswer<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly T[] | null;
}

/** A list in pages takes at least a page a minute before etcd's compaction (5 minutes) can overtake it. */
const pageTimeoutMs = 60_000;

/**
 * A consistent list, page by page. A page that is too large to be read (Secrets of a megabyte each) is asked for again in halves. When
 * the server has compacted the list's version away, Gone is thrown: the pages told so far are true, but which objects are gone is not known.
 */
export async function* listPages<T extends KubeObject>(options: ListOptions): AsyncGenerator<Page<T>> {
  const { client, resource, namespace, labelSelector, fieldSelector, signal } = options;
  const accept = acceptOf(options.parts, 'PartialObjectMetadataList');
  let limit = options.pageSize;
  let token: string | undefined;
  do {
    const answer = await readPage(limit);
    if (answer === undefined) {
      limit = Math.ceil(limit / 2);
      continue;
    }
    const resourceVersion = answer.metadata?.resourceVersion;
    if (resourceVersion === undefined) throw new ConnectionError(`list ${resource.plural}`, 'BadAnswer');
    token = answer.metadata?.continue;
    yield { items: answer.items ?? [], resourceVersion };
    if (token === undefined || token === '') return;
  } while (!signal.aborted);

  /** Undefined: too large. */
  async function readPage(pageSize: number): Promise<ListAnswer<T> | undefined> {
    try {
      const query = { limit: pageSize, continue: token, labelSelector, fieldSelector };
      const path = pathOf(resource, { namespace });
      const timeoutMs = pageTimeoutMs;
      return await client.request<ListAnswer<T>>({ method: 'GET', path, query, accept, signal, timeoutMs });
    } catch (error) {
      if (error instanceof ConnectionError && error.fault === 'TooLarge' && pageSize > 1) return undefined;
      throw error;
    }
  }
}

/** All of a selection at once, for what is looked up now and then and not held. `most` bounds what is held meanwhile. */
export async function listAll<T extends KubeObject>(options: ListOptions & { readonly most: number }): Promise<T[]> {
  const found: T[] = [];
  for (let attempt = 1; ; attempt++) {
    found.length = 0;
    try {
      for await (const { items } of listPages<T>(options)) {
        found.push(...items);
        if (found.length > options.most) throw new RangeError(`more than ${options.most} ${options.resource.plural}`);
      }
      return found;
    } catch (error) {
      if (!isGone(error) || attempt >= 3) throw error;
    }
  }
}
