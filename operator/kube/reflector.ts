/**
 * A kind in memory: lists it, then watches it, for ever. What can go wrong and what is done:
 *
 *   the server ends the watch in its time ........ watch on from the last resourceVersion, at once
 *   410, in answer or in the stream .............. list again; only differences are told
 *   401, 403, 429, 5xx, a broken or cut stream ... wait (jittered, growing, Retry-After honoured), then go on from the last resourceVersion
 *   silence, without even a bookmark ............. as a broken stream
 *   404 .......................................... as the above; for an optional kind: empty, and looked for again
 *
 * It ends only with its signal. A handler gets each change once, in order, on the loop that reads: it notes a key, and no more.
 */
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import { type BackoffOptions, backoffMs } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { unlessAborted } from './deadline.ts';
import { ApiError, faultOf, isGone, isNotFound } from './errors.ts';
import { type ListOptions, listPages } from './list.ts';
import type { MetricSink } from './metrics.ts';
import { type KubeObject, keyOf, pathOf, type Resource } from './object.ts';
import { MutableStore, type ObjectIndex, type ObjectStore } from './store.ts';
import { type Transform, withoutManagedFields } from './transform.ts';
import { createUptime, type Uptime } from './uptime.ts';
import { readWatch, type WatchLimits } from './watch.ts';

export interface Change<T extends KubeObject> {
  readonly type: 'added' | 'updated' | 'deleted';
  readonly key: string;
  /** Of a deletion: as last seen. */
  readonly object: T;
  readonly previous: T | undefined;
  /** Of the first list: what was there before us, so not urgent. */
  readonly isInitial: boolean;
}

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** What a silence is counted by; left out: the system's. */
  readonly uptime?: Uptime;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: MetricSink;
  readonly resource: Resource;
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly transform?: Transform<T>;
  /** What is sent of each object, and so what is there to be kept. */
  readonly parts?: 'Whole' | 'Metadata';
  /** A kind that need not exist in the cluster. */
  readonly isOptional?: boolean;
  /** Told when the cluster turns out to know the kind, or to know it no more. */
  readonly onKnown?: (isKnown: boolean) => void;
  readonly pageSize?: number;
  readonly limits?: Partial<WatchLimits>;
  readonly backoff?: BackoffOptions;
}

export interface Reflector<T extends KubeObject> {
  readonly store: ObjectStore<T>;
  /** Resolves when the first list is in the store and its changes were told; rejects when the signal is aborted before. */
  whenSynced(signal: AbortSignal): Promise<void>;
  readonly isSynced: boolean;
  /** Whether the cluster knows the kind; false before the first list. */
  readonly isKnown: boolean;
  /** Before run(). */
  onChange(handler: (change: Change<T>) => void): void;
  addIndex(valuesOf: (object: T) => readonly string[]): ObjectIndex<T>;
  /** Transforms one object anew, unless the watch was quicker. @throws ApiError, ConnectionError */
  reread(known: T, signal: AbortSignal): Promise<void>;
  /** Resolves when the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

/** The server sends a bookmark about each minute, jittered to 75 s. */
const defaultLimits: WatchLimits = { silenceMs: 100_000, shortestSeconds: 300, longestSeconds: 600 };
/** A server that was away is found to be back within the longest; so many watches at that pace are no load for it. */
const defaultBackoff: BackoffOptions = { firstMs: 800, longestMs: 10_000 };

export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector<T> {
  const { client, clock, random, metrics, resource } = options;
  const { transform = withoutManagedFields, backoff = defaultBackoff, uptime = createUptime() } = options;
  const kind = resource.kind;
  const limits = { ...defaultLimits, ...options.limits };
  const log = options.log.child({ kind });
  const store = new MutableStore<T>();
  const handlers: ((change: Change<T>) => void)[] = [];
  const synced = Promise.withResolvers<void>();
  let isSynced = false;
  let isKnown = false;
  let resourceVersion: string | undefined;
  let failures = 0;
  // A rate needs the zero before the first one, and a graph of none is not one without data.
  for (const fault of ['Silent', 'Unreachable'])
    metrics.add('postroad_operator_watch_failures_total', { kind, fault }, 0);

  function tell(change: Omit<Change<T>, 'isInitial' | 'key'>): void {
    const whole = { ...change, key: keyOf(change.object.metadata), isInitial: !isSynced };
    for (const handler of handlers) {
      try {
        handler(whole);
      } catch (error) {
        metrics.add('postroad_operator_handler_errors_total', { kind });
        log.error({ err: error, key: whole.key }, 'a handler of a change failed');
      }
    }
  }

  function put(object: T): void {
    const previous = store.set(object);
    if (previous === undefined) tell({ type: 'added', object, previous });
    else if (previous.metadata.resourceVersion !== object.metadata.resourceVersion) {
      tell({ type: 'updated', object, previous });
    }
  }

  function drop(key: string, last: T | undefined): void {
    const previous = store.delete(key);
    if (previous !== undefined) tell({ type: 'deleted', object: last ?? previous, previous });
  }

  function heard(): void {
    failures = 0;
    metrics.set('postroad_operator_cache_fresh_timestamp_seconds', { kind }, clock.now() / 1000);
    metrics.set('postroad_operator_cached_objects', { kind }, store.size);
  }

  function know(known: boolean): void {
    if (known === isKnown) return;
    isKnown = known;
    if (options.isOptional)
      log.info({ known }, known ? 'the cluster knows the kind' : 'the cluster does not know the kind');
    options.onKnown?.(known);
  }

  async function list(signal: AbortSignal): Promise<void> {
    const seen = new Set<string>();
    const pages = listPages<T>({ ...listOptions(options), client, signal });
    let version = '';
    for await (const page of pages) {
      for (const item of page.items) {
        // Items of a list lack what the list says for all of them.
        const object = transform({ ...item, apiVersion: resource.apiVersion, kind });
        seen.add(keyOf(object.metadata));
        put(object);
      }
      version = page.resourceVersion;
    }
    know(true);
    for (const key of store.keys()) if (!seen.has(key)) drop(key, undefined);
    resourceVersion = version;
    metrics.add('postroad_operator_lists_total', { kind });
    heard();
    finishFirst();
  }

  function finishFirst(): void {
    if (!isSynced) log.info({ objects: store.size }, 'cache is synced');
    isSynced = true;
    synced.resolve();
  }

  async function watch(from: string, signal: AbortSignal): Promise<void> {
    metrics.add('postroad_operator_watches_total', { kind });
    const { namespace, labelSelector, fieldSelector, parts } = options;
    const place = { resource, namespace, labelSelector, fieldSelector, parts, resourceVersion: from };
    for await (const event of readWatch<T>({ client, clock, uptime, random, limits, signal, ...place })) {
      if (event.type === 'DELETED') drop(keyOf(event.object.metadata), transform(event.object));
      else if (event.type !== 'BOOKMARK') put(transform(event.object));
      resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion;
      heard();
    }
  }

  async function recover(error: unknown, signal: AbortSignal): Promise<void> {
    failures += 1;
    if (options.isOptional && isNotFound(error)) {
      await lookAgainLater(signal);
      return;
    }
    metrics.add('postroad_operator_watch_failures_total', { kind, fault: faultOf(error) });
    if (isGone(error)) resourceVersion = undefined;
    const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const waitMs = Math.max(backoffMs(failures, backoff, random), Math.min(askedMs, longestRetryAfterMs));
    log.warn(
      { err: error, failures, waitMs: Math.round(waitMs), relist: resourceVersion === undefined },
      'watch failed',
    );
    await clock.sleep(waitMs, signal);
  }

  /** Nothing is wrong: many clusters never have it. */
  async function lookAgainLater(signal: AbortSignal): Promise<void> {
    resourceVersion = undefined;
    know(false);
    for (const key of store.keys()) drop(key, undefined);
    finishFirst();
    await clock.sleep(backoffMs(failures, backoff, random), signal);
  }

  async function step(signal: AbortSignal): Promise<void> {
    if (resourceVersion === undefined) await list(signal);
    const shortest = uptime.patience(shortestWatchMs);
    if (resourceVersion !== undefined) await watch(resourceVersion, signal);
    // A server (or a proxy) that takes each watch and ends it at once would otherwise be asked in a tight loop.
    if (!shortest.isOver()) await clock.sleep(backoffMs(1, backoff, random), signal);
  }

  return {
    store,
    whenSynced: signal => unlessAborted(synced.promise, signal),
    get isSynced() {
      return isSynced;
    },
    get isKnown() {
      return isKnown;
    },
    onChange: handler => void handlers.push(handler),
    addIndex: valuesOf => store.addIndex(valuesOf),
    async reread(known, signal) {
      const path = pathOf(resource, known.metadata);
      const object = transform(await client.request<T>({ method: 'GET', path, signal }));
      if (store.get(keyOf(known.metadata)) !== known) return;
      store.set(object);
      tell({ type: 'updated', object, previous: known });
    },
    async run(signal) {
      while (!signal.aborted) {
        try {
          await step(signal);
        } catch (error) {
          if (signal.aborted) return;
          await recover(error, signal).catch((fault: unknown) => {
            if (!signal.aborted) throw fault;
          });
        }
      }
    },
  };
}

/** A server may ask for patience; one that asks for an hour is not believed. */
const longestRetryAfterMs = 120_000;
const shortestWatchMs = 1000;

function listOptions<T extends KubeObject>({
  resource,
  namespace,
  labelSelector,
  fieldSelector,
  parts,
  pageSize = 500,
}: ReflectorOptions<T>): Omit<ListOptions, 'client' | 'signal'> {
  return { resource, namespace, labelSelector, fieldSelector, parts, pageSize };
}
