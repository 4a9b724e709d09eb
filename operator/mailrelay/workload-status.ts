/** What the pods say about a relay. No message holds a number that changes while nothing else does: each would be a write. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import { fails, holds, type Verdict } from '../conditions.ts';
import type { ObservedPod } from './desired/input.ts';
import { isDraining, type Scale } from './desired/scale.ts';

export interface WorkloadObservation {
  /** status of the StatefulSet or Deployment; zeros while there is none. */
  readonly replicas: number;
  readonly readyReplicas: number;
  readonly updatedReplicas: number;
  /** Whether that status is about the spec that was applied last. */
  readonly isCurrent: boolean;
  /** Pods it should have now: `scale.replicas`, or what an autoscaler has decided. */
  readonly wanted: number;
  readonly scale: Scale;
  readonly isDrainOver: boolean;
  readonly pods: readonly ObservedPod[];
  /** Names of claims that may not become as large as is asked for. */
  readonly refusedClaims: readonly string[];
}

/** The one revision that every ready pod runs; undefined when there is none, or they differ, or one has not said. */
export function appliedRevisionOf(pods: readonly ObservedPod[]): string | undefined {
  const revisions = new Set(
    pods.filter(({ ready, terminating }) => ready && !terminating).map(({ report }) => report?.revision),
  );
  const [revision] = revisions;
  return revisions.size === 1 ? revision : undefined;
}

export interface WorkloadVerdicts {
  /** Counts for Ready, and is no condition of its own. */
  readonly availability: Verdict;
  readonly conditions: readonly Verdict[];
}

export function workloadVerdicts(
  { relay, notSupported }: { readonly relay: MailRelay; readonly notSupported: string | undefined },
  workload: WorkloadObservation,
): WorkloadVerdicts {
  const progress =
    notSupported === undefined ? progressing(workload) : fails('Progressing', 'NotSupported', notSupported);
  return {
    availability: availability(relay, workload),
    conditions: [progress, draining(relay, workload), paused(relay)],
  };
}

function availability(relay: MailRelay, { readyReplicas, wanted, pods }: WorkloadObservation): Verdict {
  if (relay.metadata.deletionTimestamp !== undefined)
    return fails('Ready', 'Terminating', 'the relay is being deleted and takes no new mail');
  if (wanted === 0) return holds('Ready', 'Parked', 'no pods are asked for');
  const least = Math.max(1, wanted - relay.spec.disruption.maxUnavailable);
  if (readyReplicas >= least) return holds('Ready', 'Ready', 'everything asked for is in place');
  const troubles = [...new Set(pods.flatMap(({ storeTroubles }) => storeTroubles))].toSorted();
  if (troubles.length > 0)
    return fails('Ready', 'QueueStoreTrouble', `Redis would not keep mail, and none is taken: ${troubles.join(', ')}`);
  return fails('Ready', 'PodsUnavailable', `fewer than ${least} of ${wanted} pods are ready`);
}

function progressing(workload: WorkloadObservation): Verdict {
  const { replicas, readyReplicas, updatedReplicas, isCurrent, wanted, refusedClaims } = workload;
  const done = isCurrent && replicas === wanted && readyReplicas === wanted && updatedReplicas === wanted;
  if (!done)
    return holds('Progressing', 'RollingOut', `pods are being brought to ${wanted}, all of the current template`);
  if (refusedClaims.length === 0) return fails('Progressing', 'RolledOut', `${wanted} pods are as asked for`);
  const [first, ...more] = refusedClaims.toSorted();
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  return fails('Progressing', 'VolumeExpansionRefused', `the API server does not let volumes grow: ${first}${others}`);
}

function draining(relay: MailRelay, { scale, isDrainOver, pods, replicas }: WorkloadObservation): Verdict {
  const isShared = relay.spec.queue.type === 'Redis';
  if (scale.leaving.length > 0) {
    const whose = isShared ? 'the queue holds' : 'their queues hold';
    return holds('Draining', 'Draining', `${scale.leaving.join(', ')} deliver what ${whose}, then go`);
  }
  if (isDraining(relay, scale)) {
    const why = isShared
      ? 'the queue may hold mail, and pods to deliver it are'
      : 'pods that are not there now may hold mail, and are';
    return holds('Draining', 'Draining', `${why} waited for`);
  }
  const leftWithMail = isDrainOver && isLeaving(relay, pods, replicas);
  const where = isShared
    ? 'what the queue held stays in Redis'
    : 'volumes of pods that went with mail in their queues are kept';
  return leftWithMail
    ? fails('Draining', 'DrainTimedOut', where)
    : fails('Draining', 'NotDraining', 'no pod is on its way out with mail in its queue');
}

/** Pods that are going although nobody said that their queues are empty. */
function isLeaving({ metadata, spec }: MailRelay, pods: readonly ObservedPod[], replicas: number): boolean {
  const wanted = metadata.deletionTimestamp === undefined ? spec.replicas : 0;
  const going = spec.queue.type === 'Volume' ? replicas > wanted : wanted === 0 && replicas > 0;
  return going && pods.some(({ report }) => report?.queuedRecipients !== 0);
}

function paused({ spec: { reconciliation } }: MailRelay): Verdict {
  return reconciliation === 'Paused'
    ? holds('Paused', 'Paused', 'nothing of this relay is changed until spec.reconciliation is Active')
    : fails('Paused', 'NotPaused', 'changes of the object are followed');
}

/** Pods whose answer would tell something new; of a shared queue also those that are not ready, which may know why. */
export function podsToAsk(
  { pods, isShared }: { readonly pods: readonly ObservedPod[]; readonly isShared: boolean },
  revision: string | undefined,
  leaving: readonly string[],
): string[] {
  return pods
    .filter(({ ready, terminating }) => (ready || isShared) && !terminating)
    .filter(({ name, report }) => report === undefined || report.revision !== revision || leaving.includes(name))
    .map(({ name }) => name);
}
