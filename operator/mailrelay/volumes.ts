/** Volumes of a relay that is being deleted or has become smaller. Nobody else deletes them: a volume may hold mail that was accepted. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import { persistentVolumeClaims } from '../cluster/kinds.ts';
import type { ControllerDeps } from '../controller.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import { namesOf } from './desired/names.ts';
import { claimsOf } from './existing.ts';
import type { LastWords } from './last-words.ts';

interface Heard {
  readonly lastWords: LastWords;
  readonly signal: AbortSignal;
}

export async function removeVolumes(
  { cluster, apply, events }: ControllerDeps,
  relay: MailRelay,
  { lastWords, signal }: Heard,
): Promise<void> {
  const names = namesOf(relay);
  const emptied = lastWords.emptied(nameOf(relay));
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

export interface Shrunk extends Heard {
  /** Pods that its workload asks for, as this pass left it: only this operator makes it larger again. */
  readonly running: number;
}

/**
 * Volumes of pods that are no longer wanted, are gone, and whose last word was that their queues are empty. Any other stays, one whose pod's
 * word was missed as well; and all of a relay that is parked, which will come back.
 */
export async function releaseVolumes(
  { cluster, apply }: ControllerDeps,
  relay: MailRelay,
  { lastWords, running, signal }: Shrunk,
): Promise<void> {
  const { replicas, queue } = relay.spec;
  if (relay.metadata.deletionTimestamp !== undefined || queue.type !== 'Volume') return;
  if (replicas === 0) return;
  const names = namesOf(relay);
  const emptied = lastWords.emptied(nameOf(relay));
  const first = Math.max(replicas, running);
  const there = new Set(cluster.podsOf(nameOf(relay)).map(({ metadata }) => metadata.name));
  for (const { ordinal, claim } of claimsOf(cluster, relay)) {
    const pod = `${names.relay}-${ordinal}`;
    if (ordinal < first || there.has(pod) || !emptied.has(pod)) continue;
    await apply.delete({ resource: persistentVolumeClaims, live: claim, signal });
  }
}
