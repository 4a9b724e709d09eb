/**
 * Writes of a relay's objects. What somebody else made under one of our names is left alone: the caches hold what is ours, so that before a first
 * write the API server is asked once what is there; the answer stands for a while, and no pass after it asks again.
 */
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { Clock } from '../../relay/clock.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { resourceOf } from '../cluster/kinds.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import type { Applier } from '../kube/apply.ts';
import type { KubeObject, Resource } from '../kube/object.ts';
import { isOwnedBy } from '../labels.ts';
import type { DesiredObject, ObjectReference } from './desired/object.ts';

export interface WriterDeps {
  readonly cluster: Cluster;
  readonly apply: Applier;
  readonly handoverApply: Applier;
  readonly clock: Clock;
}

export interface RelayWriter {
  /** Returns what is there now; undefined: the name is somebody else's. */
  own(write: OwnWrite): Promise<KubeObject | undefined>;
  /** What is there under a name of ours, from the cache or, where that has nothing, from the API server. */
  find(relay: MailRelay, reference: ObjectReference, signal: AbortSignal): Promise<Found>;
  /** Makes it where nothing is under its name; else says what is. */
  make(making: Making): Promise<Made>;
  /** By the other field manager. */
  handOver(object: DesiredObject, live: KubeObject | undefined, signal: AbortSignal): Promise<void>;
  /** Part of an object that others own: nothing where it is gone, or another by now. */
  patch(object: DesiredObject, live: KubeObject, signal: AbortSignal): Promise<void>;
  /** Nothing where it is not the relay's. */
  remove(relay: MailRelay, reference: ObjectReference, signal: AbortSignal): Promise<void>;
  /** As `Kind name`. */
  taken(relay: MailRelay): readonly string[];
  forget(relayKey: string): void;
}

export interface Making {
  readonly relay: MailRelay;
  readonly object: DesiredObject;
  readonly signal: AbortSignal;
}

export interface OwnWrite extends Making {
  /** Nothing is made that is not there. */
  readonly onlyExisting?: boolean;
  readonly onlyIfUnchanged?: boolean;
  /** What was found there, where the caller has looked already. */
  readonly found?: Exclude<Found, { readonly kind: 'Free' }>;
}

export type Found =
  | { readonly kind: 'Free' }
  | { readonly kind: 'Ours'; readonly live: KubeObject }
  | { readonly kind: 'Taken' };

export type Made = Exclude<Found, { readonly kind: 'Free' }> | { readonly kind: 'Made'; readonly live: KubeObject };

/**
 * After that it is looked whether a name that was somebody else's is free by now. Where the caches show who has it (what a relay of the same
 * name left behind, until garbage collection has come to it), its end is seen at once instead.
 */
export const takenForMs = 60_000;

interface TakenName {
  readonly seenTimeMs: number;
  readonly isInCache: boolean;
}

export function createRelayWriter({ cluster, apply, handoverApply, clock }: WriterDeps): RelayWriter {
  /** By relay, then `Kind name`. */
  const takenNames = new Map<string, Map<string, TakenName>>();

  async function find(relay: MailRelay, reference: ObjectReference, signal: AbortSignal): Promise<Found> {
    const resource = resourceOf(reference);
    const { namespace, name } = reference;
    const cached = cluster.managed(resource, `${namespace}/${name}`);
    if (cached === undefined && wasTaken(relay, reference)) return { kind: 'Taken' };
    const live = cached ?? (await apply.peek(resource, { namespace, name }, signal));
    if (live !== undefined) return judge(relay, reference, live);
    takenNames.get(nameOf(relay))?.delete(labelOf(reference));
    return { kind: 'Free' };
  }

  async function make({ relay, object, signal }: Making): Promise<Made> {
    const reference = referenceTo(object);
    if (wasTaken(relay, reference)) return { kind: 'Taken' };
    const made = await apply.create<KubeObject>({ resource: resourceOf(object), wanted: object, signal });
    const found = judge(relay, reference, made.object);
    return made.result === 'Created' ? { kind: 'Made', live: made.object } : found;
  }

  function wasTaken(relay: MailRelay, reference: ObjectReference): boolean {
    return isStillTaken(takenNames.get(nameOf(relay))?.get(labelOf(reference)));
  }

  function judge(
    relay: MailRelay,
    reference: ObjectReference,
    live: KubeObject,
  ): Exclude<Found, { readonly kind: 'Free' }> {
    const label = labelOf(reference);
    if (!isOwnedBy(live.metadata.ownerReferences, relay)) {
      noteTaken(nameOf(relay), label, cachedOf(cluster, resourceOf(reference), { metadata: reference }) !== undefined);
      return { kind: 'Taken' };
    }
    takenNames.get(nameOf(relay))?.delete(label);
    return { kind: 'Ours', live };
  }

  function isStillTaken(name: TakenName | undefined): boolean {
    return name !== undefined && !name.isInCache && clock.now() < name.seenTimeMs + takenForMs;
  }

  function noteTaken(relayKey: string, label: string, isInCache: boolean): void {
    const names = takenNames.get(relayKey) ?? new Map<string, TakenName>();
    takenNames.set(relayKey, names.set(label, { seenTimeMs: clock.now(), isInCache }));
  }

  return {
    find,
    make,
    async own({ relay, object, signal, onlyExisting = false, onlyIfUnchanged = false, found: known }) {
      const resource = resourceOf(object);
      const cached = cachedOf(cluster, resource, object);
      if (onlyExisting && cached === undefined) return undefined;
      const found = known ?? (cached && judge(relay, referenceTo(object), cached));
      const made = found ?? (await make({ relay, object, signal }));
      if (made.kind === 'Taken') return undefined;
      const { live } = made;
      // It goes first; then it is made anew.
      if (made.kind === 'Made' || live.metadata.deletionTimestamp !== undefined) return live;
      return (await apply.apply<KubeObject>({ resource, wanted: object, live, signal, onlyIfUnchanged })).object;
    },
    async handOver(object, live, signal) {
      if (live !== undefined)
        await handoverApply.apply<KubeObject>({ resource: resourceOf(object), wanted: object, live, signal });
    },
    async patch(object, live, signal) {
      // With its uid: refused instead of made, should it have gone.
      const wanted: KubeObject = { ...object, metadata: { ...object.metadata, ...uidOf(live) } };
      await apply.apply({ resource: resourceOf(object), wanted, live, signal });
    },
    async remove(relay, reference, signal) {
      const resource = resourceOf(reference);
      const live = cachedOf(cluster, resource, { metadata: reference });
      if (live === undefined || live.metadata.deletionTimestamp !== undefined) return;
      if (isOwnedBy(live.metadata.ownerReferences, relay)) await apply.delete({ resource, live, signal });
    },
    taken: relay => [...(takenNames.get(nameOf(relay))?.keys() ?? [])],
    forget: relayKey => void takenNames.delete(relayKey),
  };
}

function labelOf({ kind, name }: ObjectReference): string {
  return `${kind} ${name}`;
}

function uidOf({ metadata: { uid } }: KubeObject): { readonly uid?: string } {
  return uid === undefined ? {} : { uid };
}

function cachedOf(
  cluster: Cluster,
  resource: Resource,
  { metadata: { namespace, name } }: { readonly metadata: { readonly namespace: string; readonly name: string } },
): KubeObject | undefined {
  return cluster.managed(resource, `${namespace}/${name}`);
}

export function referenceTo({ apiVersion, kind, metadata: { namespace, name } }: DesiredObject): ObjectReference {
  return { apiVersion, kind, namespace, name };
}
