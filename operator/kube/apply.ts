/**
 * The only writer. Objects are written whole, as wanted, by server-side apply: fields no longer wanted go, fields of others stay. What
 * need not be written is not: a pass over an unchanged world makes no request.
 *
 * Unchanged means: the live object carries the hash of this very content (an annotation of ours), and the server still counts every field
 * of it as ours. Where something between us and the store rewrites what we apply (an admission webhook), that never becomes true; so
 * the resourceVersion that our own write led to counts as unchanged as well, for as long as the object has it; and the one that it was
 * written over, which a cache may show for a moment longer.
 *
 * What is made must not be there yet: the server sees to that (versionOfNone). A write that was sent is waited for also when its signal
 * is aborted: cut off, it could still be carried out, after the next leader's.
 */
import type { KubeClient } from './client.ts';
import { contentHash } from './content-hash.ts';
import { ApiError, isConflict, isNotFound } from './errors.ts';
import type { MetricSink } from './metrics.ts';
import { type KubeObject, keyOf, type ObjectName, pathOf, type Resource } from './object.ts';
import { ownsAll } from './owned.ts';
import { RecentWrites } from './recent-writes.ts';
import { ownFields } from './transform.ts';

export const appliedHashAnnotation = 'postroad.dev/applied-hash';

export interface ApplierOptions {
  readonly client: KubeClient;
  readonly metrics: MetricSink;
  readonly fieldManager: string;
  /** Throws when nothing may be written (any more): the lease's `assertHeld`. */
  readonly assertMayWrite: () => void;
}

export interface Write<T extends KubeObject> {
  readonly resource: Resource;
  readonly wanted: T;
  /** As seen last; undefined: not there. */
  readonly live: KubeObject | undefined;
  readonly signal: AbortSignal;
  /** Takes fields from whoever has them; true unless said otherwise. */
  readonly force?: boolean;
  /** Refused (409) unless the object is the live one, unchanged; where none is live, unless there is none. */
  readonly onlyIfUnchanged?: boolean;
}

export type Creation<T extends KubeObject> = Pick<Write<T>, 'resource' | 'wanted' | 'signal'>;

export type Created<T extends KubeObject> =
  | { readonly result: 'Created'; readonly object: T }
  | { readonly result: 'There'; readonly object: KubeObject };

export interface Written<T extends KubeObject> {
  readonly result: 'Created' | 'Updated' | 'Unchanged';
  /** As the server has it; of an unchanged one, as it was seen. */
  readonly object: T;
}

export interface Deletion {
  readonly resource: Resource;
  /** This very object: one of the same name that was made since stays. */
  readonly live: KubeObject;
  readonly signal: AbortSignal;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  readonly onlyIfUnchanged?: boolean;
}

export interface Finalizing {
  readonly resource: Resource;
  readonly live: KubeObject;
  readonly finalizer: string;
  readonly signal: AbortSignal;
}

export interface Applier {
  /** What is there under a name, for a first write: a cache of what is ours shows nothing of what others made. */
  peek(resource: Resource, name: ObjectName, signal: AbortSignal): Promise<KubeObject | undefined>;
  /** Puts a finalizer on an object of somebody's; returns it as it is then. 409: it has become another. @throws ApiError */
  addFinalizer(finalizing: Finalizing): Promise<KubeObject>;
  /** Whoever set it. 409: the object was changed since. Gone: done. @throws ApiError */
  removeFinalizer(finalizing: Finalizing): Promise<void>;
  apply<T extends KubeObject>(write: Write<T>): Promise<Written<T>>;
  /** Makes it, unless something is under its name, whoever's that is. */
  create<T extends KubeObject>(creation: Creation<T>): Promise<Created<T>>;
  /** `wanted` has its status, and beside it no more than apiVersion, kind, name and namespace. */
  applyStatus<T extends KubeObject & { readonly status?: unknown }>(write: Write<T>): Promise<Written<T>>;
  /** Gone: it was not there, or not the same any more. */
  delete(deletion: Deletion): Promise<'Deleted' | 'Gone'>;
}

const conflictAttempts = 3;
/** etcd's first revision is that of the empty store. */
const versionOfNone = '1';
/** Of what is under way; the client's own time limit still holds. */
const { signal: unhurried } = new AbortController();

export function createApplier({ client, metrics, fieldManager, assertMayWrite }: ApplierOptions): Applier {
  const recent = new RecentWrites();
  /** Live objects by the hash that they were found to have in place: what a cache holds is never changed, so it stays true. */
  const verified = new WeakMap<KubeObject, string>();

  async function counted<T extends { readonly result: string }>(kind: string, work: () => Promise<T>): Promise<T> {
    try {
      const written = await work();
      metrics.add('postroad_operator_writes_total', { kind, result: written.result });
      return written;
    } catch (error) {
      metrics.add('postroad_operator_writes_total', { kind, result: 'Error' });
      throw error;
    }
  }

  async function patch<T extends KubeObject>(write: Write<T>, body: T, subresource?: string): Promise<T> {
    const { resource, live, signal, force = true, onlyIfUnchanged = false } = write;
    const path = pathOf(resource, { ...body.metadata, subresource });
    const query = { fieldManager, force, fieldValidation: 'Strict' };
    const { uid, resourceVersion } = live?.metadata ?? { resourceVersion: versionOfNone };
    const metadata = onlyIfUnchanged ? { ...body.metadata, uid, resourceVersion } : body.metadata;
    for (let attempt = 1; ; attempt++) {
      assertMayWrite();
      signal.throwIfAborted();
      try {
        const contentType = 'application/apply-patch+yaml';
        return await client.request<T>({
          method: 'PATCH',
          path,
          query,
          body: { ...body, metadata },
          contentType,
          signal: unhurried,
          beforeSend: assertMayWrite,
        });
      } catch (error) {
        // Two writers met within the server. What we want does not depend on what they wrote.
        if (onlyIfUnchanged || attempt >= conflictAttempts || !isMeeting(error)) throw error;
      }
    }
  }

  async function write<T extends KubeObject>(write_: Write<T>, plan: Plan<T>): Promise<Written<T>> {
    const { live, wanted, resource } = write_;
    const key = [resource.kind, keyOf(wanted.metadata), plan.subresource ?? ''].join(' ');
    const version = live?.metadata.resourceVersion;
    const isKnown = version !== undefined && recent.has(key, plan.hash, version);
    if (live !== undefined && (isKnown || plan.isInPlace(live))) return { result: 'Unchanged', object: live as T };
    const object = await patch(write_, plan.body, plan.subresource);
    recent.add(key, plan.hash, [version, object.metadata.resourceVersion]);
    if (live === undefined) return { result: 'Created', object };
    // The server found nothing to change: the live object was older than what is there, or says it otherwise.
    return { result: object.metadata.resourceVersion === version ? 'Unchanged' : 'Updated', object };
  }

  async function peek(resource: Resource, name: ObjectName, signal: AbortSignal): Promise<KubeObject | undefined> {
    try {
      return await client.request<KubeObject>({ method: 'GET', path: pathOf(resource, name), signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async function apply<T extends KubeObject>(write_: Write<T>): Promise<Written<T>> {
    const wanted = withoutStringData(write_.wanted);
    const hash = contentHash(wanted);
    const annotations = { ...wanted.metadata.annotations, [appliedHashAnnotation]: hash };
    const body = { ...wanted, metadata: { ...wanted.metadata, annotations } };
    return await write(write_, { hash, body, isInPlace: live => isInPlace(live, wanted, hash) });
  }

  async function applyToNone<T extends KubeObject>(creation: Creation<T>): Promise<T | undefined> {
    try {
      return (await apply({ ...creation, live: undefined, onlyIfUnchanged: true })).object;
    } catch (error) {
      if (isRefusedAsThere(error)) return undefined;
      throw error;
    }
  }

  return {
    peek,
    async addFinalizer({ resource, live, finalizer, signal }) {
      const { name, namespace, uid } = live.metadata;
      const metadata = { name, ...(namespace !== undefined && { namespace }), uid, finalizers: [finalizer] };
      const { apiVersion, kind } = resource;
      const body = { apiVersion, kind, metadata } as KubeObject;
      const { object } = await counted(kind, async () => ({
        result: 'Updated',
        object: await patch({ resource, wanted: body, live, signal }, body),
      }));
      return object;
    },
    async removeFinalizer({ resource, live, finalizer, signal }) {
      const { resourceVersion, finalizers = [] } = live.metadata;
      // Not by apply: whoever copied the object, finalizer and all, owns the entry too, and an apply would leave it.
      const body = { metadata: { resourceVersion, finalizers: finalizers.filter(one => one !== finalizer) } };
      await counted(resource.kind, async () => {
        assertMayWrite();
        signal.throwIfAborted();
        try {
          await client.request({
            method: 'PATCH',
            path: pathOf(resource, live.metadata),
            query: { fieldManager },
            body,
            contentType: 'application/merge-patch+json',
            signal: unhurried,
            beforeSend: assertMayWrite,
          });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
        return { result: 'Updated' };
      });
    },
    apply: write_ => counted(write_.resource.kind, () => apply(write_)),
    async create<T extends KubeObject>(creation: Creation<T>): Promise<Created<T>> {
      const { resource, wanted, signal } = creation;
      const { object } = await counted(resource.kind, async () => {
        const made = await applyToNone(creation);
        return { result: made === undefined ? 'Unchanged' : 'Created', object: made };
      });
      if (object !== undefined) return { result: 'Created', object };
      const there = await peek(resource, wanted.metadata, signal);
      if (there !== undefined) return { result: 'There', object: there };
      // It has gone meanwhile, or the server took the question amiss.
      const { object: again } = await counted(resource.kind, () => apply({ ...creation, live: undefined }));
      return { result: 'Created', object: again };
    },
    applyStatus: write_ =>
      counted(write_.resource.kind, () => {
        const { apiVersion, kind, metadata, status } = write_.wanted;
        const { namespace, name } = metadata;
        const named = namespace === undefined ? { name } : { namespace, name };
        const body = { apiVersion, kind, metadata: named, status } as typeof write_.wanted;
        const hash = contentHash(status);
        const isSame = (live: KubeObject): boolean => 'status' in live && contentHash(live.status) === hash;
        return write(write_, { hash, body, subresource: 'status', isInPlace: isSame });
      }),
    async delete({ resource, live, signal, propagationPolicy = 'Background', onlyIfUnchanged = false }) {
      const { uid, resourceVersion } = live.metadata;
      const preconditions = onlyIfUnchanged ? { uid, resourceVersion } : { uid };
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions, propagationPolicy };
      const { result } = await counted(resource.kind, async () => {
        try {
          assertMayWrite();
          signal.throwIfAborted();
          const path = pathOf(resource, live.metadata);
          await client.request({ method: 'DELETE', path, body, signal: unhurried, beforeSend: assertMayWrite });
          return { result: 'Deleted' as const };
        } catch (error) {
          if (isNotFound(error) || (isConflict(error) && !onlyIfUnchanged)) return { result: 'Gone' as const };
          throw error;
        }
      });
      return result;
    },
  };

  function isInPlace(live: KubeObject, wanted: KubeObject, hash: string): boolean {
    if (live.metadata.annotations?.[appliedHashAnnotation] !== hash) return false;
    if (verified.get(live) === hash) return true;
    const owned = ownFields(live, fieldManager, '');
    if (owned === undefined || !ownsAll(owned, ownable(wanted))) return false;
    verified.set(live, hash);
    return true;
  }
}

interface Plan<T extends KubeObject> {
  readonly hash: string;
  readonly body: T;
  readonly subresource?: string;
  isInPlace(live: KubeObject): boolean;
}

/** Nobody owns an object's type and name; the server keeps them out of the field sets. */
function ownable(wanted: KubeObject): Readonly<Record<string, unknown>> {
  const { apiVersion: _, kind: __, metadata, ...content } = wanted;
  const { labels, annotations, ownerReferences, finalizers } = metadata;
  return { ...content, metadata: { labels, annotations, ownerReferences, finalizers } };
}

/** The server turns stringData into data that nobody owns: a key no longer wanted would stay for ever. */
function withoutStringData<T extends KubeObject>(wanted: T): T {
  const { stringData, data, ...rest } = wanted as T & SecretContent;
  if (stringData === undefined) return wanted;
  const encoded = Object.entries(stringData).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  return { ...rest, data: { ...data, ...Object.fromEntries(encoded) } } as unknown as T;
}

interface SecretContent {
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

/** 409; a server that checks more of what is made may refuse the version of none as well: then a look tells. */
function isRefusedAsThere(error: unknown): boolean {
  return error instanceof ApiError && [400, 409, 422].includes(error.status);
}

function isMeeting(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409 && error.conflicts.length === 0;
}
