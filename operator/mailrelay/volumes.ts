/** Volumes of a relay that is being deleted. Nobody else deletes them: a volume may hold mail that was accepted. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import { persistentVolumeClaims } from '../cluster/kinds.ts';
import type { ControllerDeps } from '../controller.ts';
import { namesOf } from './desired/names.ts';
import { claimsOf } from './existing.ts';

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
