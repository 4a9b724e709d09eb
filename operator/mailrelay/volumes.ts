/** Volumes of a relay that is being deleted or has become smaller. Nobody else deletes them: a volume may hold mail that was accepted. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import { persistentVolumeClaims } from '../cluster/kinds.ts';
import type { ControllerDeps } from '../controller.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import { namesOf } from './desired/names.ts';
import { claimsOf, type Workload } from './existing.ts';

export interface Emptied {
  /** Names of pods that said of their queues that they are empty, after they had stopped taking mail. */
  readonly emptied: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

export async function removeVolumes(
  { cluster, apply, events }: ControllerDeps,
  relay: MailRelay,
  { emptied, signal }: Emptied,
): Promise<void> {
  const names = namesOf(relay);
  const kept: string[] = [];
  for (const { ordinal, claim } of claimsOf(cluster, relay)) {
    if (emptied.has(`${names.relay}-${ordinal}`))
      await apply.delete({ resource: persistentVolumeClaims, live: claim, signal });
    else kept.push(claim.metadata.name);
  }
  if (kept.length === 0) return;
  const note = `volumes whose queues may hold mail are kept, for a relay of this name or for you to delete: ${kept.sort().join(', ')}`;
  events.record(relay, { type: 'Warning', reason: 'VolumesKept', action: 'Delete', note });
}

export interface Shrunk extends Emptied {
  /** As this pass left it: only this operator makes it larger again. */
  readonly workload: Workload | undefined;
}

/**
 * Volumes of pods that are no longer wanted, are gone, and said of their queues that they are empty. Any other stays, one whose pod's word was
 * forgotten as well; and all of a relay that is parked, which will come back.
 */
export async function releaseVolumes(
  { cluster, apply }: ControllerDeps,
  relay: MailRelay,
  { emptied, workload, signal }: Shrunk,
): Promise<void> {
  const { replicas, queue } = relay.spec;
  if (relay.metadata.deletionTimestamp !== undefined || queue.type !== 'Volume') return;
  if (replicas === 0 || workload?.spec.replicas === undefined) return;
  const names = namesOf(relay);
  const first = Math.max(replicas, workload.spec.replicas);
  const there = new Set(cluster.podsOf(nameOf(relay)).map(({ metadata }) => metadata.name));
  for (const { ordinal, claim } of claimsOf(cluster, relay)) {
    const pod = `${names.relay}-${ordinal}`;
    if (ordinal < first || there.has(pod) || !emptied.has(pod)) continue;
    await apply.delete({ resource: persistentVolumeClaims, live: claim, signal });
  }
}
