/** How long pods that are no longer wanted may take to empty their queues. */
import type { MailRelay, MailRelayStatus } from '../../crds/mail-relay.ts';
import { skipDrainAnnotation } from '../labels.ts';

/** When draining is given up; undefined while nothing drains. Deletion starts the time anew: its owner may have waited for a scale-down already. */
export function drainDeadlineMs(
  { metadata: { deletionTimestamp }, spec }: MailRelay,
  status: MailRelayStatus | undefined,
): number | undefined {
  const draining = status?.conditions?.find(({ type }) => type === 'Draining');
  const since = deletionTimestamp ?? (draining?.status === 'True' ? draining.lastTransitionTime : undefined);
  return since === undefined ? undefined : Date.parse(since) + spec.shutdown.drainTimeoutSeconds * 1000;
}

export function isDrainOver(relay: MailRelay, status: MailRelayStatus | undefined, nowMs: number): boolean {
  if (relay.metadata.annotations?.[skipDrainAnnotation] === 'true' || relay.spec.shutdown.drainTimeoutSeconds === 0)
    return true;
  const draining = status?.conditions?.find(({ type }) => type === 'Draining');
  // Given up stays given up, until the pods are gone and the condition with them.
  if (draining?.reason === 'DrainTimedOut') return true;
  const deadlineMs = drainDeadlineMs(relay, status);
  return deadlineMs !== undefined && nowMs >= deadlineMs;
}
