/**
 * Anybody may put our label on a Secret or a ConfigMap of a megabyte, in any namespace: content is kept only of what belongs to a relay or a
 * policy that is known, and of all else the name. What is seen before its owner is read again once the owner is there; until then
 * asking for it fails, since an object without content would look like one whose keys are gone.
 */
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import { backoffMs } from '../kube/backoff.ts';
import { orAborted } from '../kube/deadline.ts';
import { isNotFound } from '../kube/errors.ts';
import type { KubeObject } from '../kube/object.ts';
import type { Transform } from '../kube/transform.ts';
import { policyNameLabel, policyNamespaceLabel } from '../labels.ts';
import { relayKeyOf } from './change.ts';

export interface StraysOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Whether a relay or a policy of this uid is known in a namespace. */
  readonly isOwner: (uid: string, namespace: string | undefined) => boolean;
  readonly isRelay: (key: string) => boolean;
}

export interface Strays {
  /** `full` for what belongs to somebody known; the name for the rest. */
  keeping(full: Transform<KubeObject>): Transform<KubeObject>;
  /** Whether only its name is kept although its owner is known by now. */
  isUnread(object: KubeObject): boolean;
  /** @throws Error when it is unread */
  asRead<T extends KubeObject | undefined>(object: T): T;
  /** Until `reread` has worked, or nothing of it is unread any more. */
  readAgain(object: KubeObject, reread: () => Promise<void>, signal: AbortSignal): Promise<void>;
}

const backoff = { firstMs: 200, longestMs: 10_000 };
const usedLabels = [
  'app.kubernetes.io/managed-by',
  'app.kubernetes.io/instance',
  policyNamespaceLabel,
  policyNameLabel,
];

export function createStrays({ clock, random, log, isOwner, isRelay }: StraysOptions): Strays {
  const bare = new WeakSet<KubeObject>();
  const underWay = new WeakSet<KubeObject>();

  function isOwned(object: KubeObject): boolean {
    const { namespace, name, ownerReferences = [] } = object.metadata;
    // By uid alone, as isOwnedBy (labels.ts) has it: what counts as a relay's own must never be taken for empty.
    if (ownerReferences.some(({ controller, uid }) => controller === true && isOwner(uid, namespace))) return true;
    // cert-manager makes it, and owns it or nobody does (mailrelay/desired/names.ts).
    const relayKey = relayKeyOf(object);
    return relayKey !== undefined && `${namespace}/${name}` === `${relayKey}-relay-issued` && isRelay(relayKey);
  }

  const isUnread = (object: KubeObject): boolean => bare.has(object) && isOwned(object);

  return {
    keeping: full => object => {
      if (isOwned(object)) return full(object);
      const name = nameAlone(object);
      bare.add(name);
      return name;
    },
    isUnread,
    asRead(object) {
      if (object === undefined || !isUnread(object)) return object;
      throw new Error(`${object.kind} ${object.metadata.namespace}/${object.metadata.name} has not been read yet`);
    },
    async readAgain(object, reread, signal) {
      if (underWay.has(object)) return;
      underWay.add(object);
      for (let failures = 1; !signal.aborted && isUnread(object); failures++) {
        try {
          return await reread();
        } catch (error) {
          // The watch tells of that.
          if (signal.aborted || isNotFound(error)) return;
          log.warn({ err: error, kind: object.kind }, 'an object could not be read');
          await orAborted(clock.sleep(backoffMs(failures, backoff, random), signal), signal);
        }
      }
    },
  };
}

function nameAlone({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { namespace = '', name, uid = '', resourceVersion = '', labels = {}, ownerReferences = [] } = metadata;
  const kept = usedLabels.flatMap(label => (labels[label] === undefined ? [] : [[label, labels[label]] as const]));
  const owners = ownerReferences.filter(({ controller }) => controller === true);
  return {
    ...{ apiVersion, kind },
    metadata: {
      ...{ namespace, name, uid, resourceVersion },
      labels: Object.fromEntries(kept),
      ...(owners.length > 0 && { ownerReferences: owners }),
    },
  };
}
