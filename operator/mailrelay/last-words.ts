/**
 * What pods said of their queues as they ended (relay/last-word.ts), for the sake of their volumes: an answer over HTTP is older than the last
 * mail that a pod may take. In memory alone: a word that was missed leaves its volume where it is.
 */
import { relayKeyOf } from '../cluster/change.ts';
import type { KubeObject } from '../kube/object.ts';
import { ordinalOf } from './desired/scale.ts';

export interface LastWords {
  /** Of each change of a pod, in their order: as it is now, or was last. */
  seen(pod: KubeObject): void;
  /** Names of pods that ended in order and left nothing in their queues, each the last of its name. */
  emptied(relayKey: string): ReadonlySet<string>;
  /**
   * Before a pass decides anything: drops the words of pods that ended although their workload asked for them. It has made them anew, or will,
   * and that may not be seen yet. `shown`: how many it asks for as far as is seen.
   */
  dropWanted(relayKey: string, shown: number | undefined): void;
  /** How many pods the workload asks for, as a pass has just written it. */
  wrote(relayKey: string, replicas: number): void;
  forget(relayKey: string): void;
}

/** A relay has at most as many volumes. */
const mostOfOne = 64;

export function createLastWords(isRelay: (key: string) => boolean): LastWords {
  const relays = new Map<string, Set<string>>();
  const written = new Map<string, number>();

  function remember(relayKey: string, name: string): void {
    // Anybody's pod may carry our labels.
    if (!isRelay(relayKey)) return;
    const names = relays.get(relayKey) ?? new Set<string>();
    relays.set(relayKey, names);
    names.add(name);
    const [oldest] = names;
    if (names.size > mostOfOne && oldest !== undefined) names.delete(oldest);
  }

  return {
    seen(pod) {
      const key = relayKeyOf(pod);
      if (key === undefined) return;
      // Also of another pod of that name, which has said nothing yet.
      relays.get(key)?.delete(pod.metadata.name);
      if (isOfStatefulSet(pod) && leftNothing(pod)) remember(key, pod.metadata.name);
    },
    emptied: relayKey => new Set(relays.get(relayKey)),
    dropWanted(relayKey, shown = Number.POSITIVE_INFINITY) {
      const wanted = Math.min(shown, written.get(relayKey) ?? shown);
      const names = relays.get(relayKey) ?? new Set();
      for (const name of names) if (ordinalOf({ name }) < wanted) names.delete(name);
    },
    wrote: (relayKey, replicas) => void written.set(relayKey, replicas),
    forget(relayKey) {
      relays.delete(relayKey);
      written.delete(relayKey);
    },
  };
}

/** As far as it is read. */
interface Pod extends KubeObject {
  readonly status?: {
    readonly phase?: string;
    readonly containerStatuses?: readonly {
      readonly name?: unknown;
      readonly state?: { readonly terminated?: { readonly exitCode?: unknown; readonly message?: unknown } };
    }[];
  };
}

function isOfStatefulSet({ metadata: { name, ownerReferences = [] } }: KubeObject): boolean {
  const owner = ownerReferences.find(({ controller }) => controller === true);
  return owner?.kind === 'StatefulSet' && name.startsWith(`${owner.name}-`);
}

/** A container that ends in order may be started again, with another word in the end; in a pod that Succeeded none is. */
function leftNothing({ metadata, status }: Pod): boolean {
  if (metadata.deletionTimestamp === undefined || status?.phase !== 'Succeeded') return false;
  const terminated = status.containerStatuses?.find(({ name }) => name === 'relay')?.state?.terminated;
  return terminated?.exitCode === 0 && isEmptyQueue(terminated.message);
}

function isEmptyQueue(message: unknown): boolean {
  if (typeof message !== 'string') return false;
  try {
    const word = JSON.parse(message) as { readonly queue?: unknown } | null;
    return word?.queue === 'Empty';
  } catch (error) {
    // Of another program, or cut short.
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
