/**
 * How many pods there should be now, and which of them are on their way out.
 *
 * Mail in a volume leaves with its pod, so that a pod that is no longer wanted stays, outside of the Service, until it says that its queue is
 * empty, or the time for that is over. Volumes are never deleted with their pods (workload.ts), but by volumes.ts once a pod that said so
 * is gone; any other is found again by the next pod of that number.
 */
import type { Existing, ObservedPod, RelayInput } from './input.ts';

export interface Scale {
  /** undefined: an autoscaler decides. */
  readonly replicas: number | undefined;
  /** Names of pods that take no new clients. */
  readonly leaving: readonly string[];
}

type ScaleInput = Pick<RelayInput, 'relay' | 'existing' | 'drainOver'>;

export function scaleOf(input: ScaleInput): Scale {
  const { relay, existing, drainOver } = input;
  const { autoscaling, replicas, queue } = relay.spec;
  const deleted = relay.metadata.deletionTimestamp !== undefined;
  if (queue.type === 'Volume') return drained(deleted ? 0 : replicas, existing, drainOver);
  const asked = autoscaling === undefined ? replicas : undefined;
  if (deleted || asked === 0) return emptied(input);
  return { replicas: asked, leaving: [] };
}

/** Volume: each pod above the wanted number goes once its own queue is empty, the highest first, as a StatefulSet takes them. */
function drained(wanted: number, { workload, pods }: Existing, drainOver: boolean): Scale {
  const running = workload?.replicas ?? 0;
  if (running <= wanted || drainOver) return { replicas: wanted, leaving: [] };
  const leaving = pods.filter(pod => ordinalOf(pod) >= wanted);
  const busy = leaving.filter(pod => pod.report?.queuedRecipients !== 0).map(ordinalOf);
  // A pod that is not there right now has a queue that nobody knows.
  const unseen = ordinalsFrom(wanted, running).filter(ordinal => !pods.some(pod => ordinalOf(pod) === ordinal));
  const highest = Math.max(wanted - 1, ...busy, ...unseen);
  return { replicas: highest + 1, leaving: leaving.map(({ name }) => name).sort() };
}

/**
 * Redis: the queue is everybody's, so that all pods stay until it is empty. Each that takes mail must say so: what one of them hears of the queue
 * is no word about a session that is open with another.
 */
function emptied({ relay, existing, drainOver }: ScaleInput): Scale {
  const { workload, pods } = existing;
  const taking = pods.filter(({ ready, terminating }) => ready && !terminating);
  const empty = taking.length > 0 && taking.every(({ report }) => report?.queuedRecipients === 0);
  if (workload === undefined || workload.replicas === 0 || empty || drainOver) return { replicas: 0, leaving: [] };
  return {
    replicas: relay.spec.autoscaling === undefined ? workload.replicas : undefined,
    leaving: pods.map(({ name }) => name).sort(),
  };
}

/** Pods are kept beyond what is wanted, for the mail that they may hold: those that leave, or one that is not there right now. */
export function isDraining({ metadata, spec }: RelayInput['relay'], { replicas, leaving }: Scale): boolean {
  const isDeleted = metadata.deletionTimestamp !== undefined;
  if (leaving.length > 0) return true;
  // An autoscaler had the last word on how many there are of one that goes.
  if (replicas === undefined) return isDeleted;
  return replicas > (isDeleted ? 0 : spec.replicas);
}

/** Its workload ends it, now or in a moment. */
export function isGoing(pod: Pick<ObservedPod, 'name'>, { spec }: RelayInput['relay'], { replicas }: Scale): boolean {
  if (replicas === undefined) return false;
  return spec.queue.type === 'Volume' ? ordinalOf(pod) >= replicas : replicas === 0;
}

function ordinalsFrom(first: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);
}

export function ordinalOf({ name }: Pick<ObservedPod, 'name'>): number {
  return Number(/-([0-9]+)$/.exec(name)?.[1] ?? -1);
}

/** Nothing runs any more, and nothing will: a relay that is being deleted may go. */
export function isGone({ workload, pods }: Pick<Existing, 'workload' | 'pods'>): boolean {
  return pods.length === 0 && (workload === undefined || workload.replicas === 0);
}
