/**
 * A status that says no more than that something is under way is told a moment later: mostly it is over by then, and one write tells of both.
 * What is done, and what went wrong, is told at once.
 */
import type { Condition } from '../../crds/common.ts';
import type { MailRelay, MailRelayStatus } from '../../crds/mail-relay.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import { contentHash } from '../kube/content-hash.ts';

/** Pods that are there answer within this; longer, and who looks should know that they do not. */
const longestHoldMs = 400;

export class StatusHold {
  readonly #sinceMs = new Map<string, number>();

  /** How long it is still to be held back; undefined: it is to be written. */
  leftMs(relay: MailRelay, status: MailRelayStatus, nowMs: number): number | undefined {
    const key = nameOf(relay);
    const sinceMs = this.#sinceMs.get(key) ?? nowMs;
    const leftMs = sinceMs + longestHoldMs - nowMs;
    // A clock that was set back would hold it for long.
    if (leftMs > 0 && leftMs <= longestHoldMs && isPassing(relay, status)) {
      this.#sinceMs.set(key, sinceMs);
      return leftMs;
    }
    this.#sinceMs.delete(key);
    return undefined;
  }

  forget(key: string): void {
    this.#sinceMs.delete(key);
  }
}

function isPassing(relay: MailRelay, status: MailRelayStatus): boolean {
  const { conditions: before, configurationRevision } = relay.status ?? {};
  if (before === undefined || relay.metadata.deletionTimestamp !== undefined) return false;
  const conditions = status.conditions ?? [];
  const isNewRevision = status.configurationRevision !== configurationRevision;
  return (
    conditions.some(isUnderWay) &&
    conditions.every(one => isStep(one, isNewRevision) || isAsBefore(one, before)) &&
    contentHash(status) !== contentHash(relay.status)
  );
}

function isUnderWay({ type, status }: Condition): boolean {
  return (type === 'Programmed' && status === 'Unknown') || (type === 'Progressing' && status === 'True');
}

/** On the way of what was asked for. Ready sums the others up. */
function isStep({ type, status }: Condition, isNewRevision: boolean): boolean {
  if (type === 'Programmed') return status === 'Unknown' && isNewRevision;
  return type === 'Ready' || type === 'Progressing';
}

function isAsBefore({ type, status, reason, message }: Condition, before: readonly Condition[]): boolean {
  return before.some(
    one => one.type === type && one.status === status && one.reason === reason && one.message === message,
  );
}
