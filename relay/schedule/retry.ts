/** When what was deferred is tried again. Pure: time and chance are passed in. */
import type { RetryConfig } from '../config.ts';
import type { MessageRecord, QueuedRecipient } from '../queue/queue.ts';

/** Chance moves each delay by up to a fifth, so that what failed together does not come back together. */
const jitter = 0.2;
/** A lane in trouble is probed at least this often. */
const maxLaneBackOffMs = 900_000;

type Schedule = Pick<RetryConfig, 'initialDelaySeconds' | 'maxDelaySeconds'>;

/** Delay after the given number of attempts (from 1). Grows with attempts for the same chance; `random` is in [0, 1). */
export function retryDelayMs(attempts: number, schedule: Schedule, random: number): number {
  return spread(attempts, random, schedule.initialDelaySeconds * 1000, schedule.maxDelaySeconds * 1000);
}

/** How long a lane rests after so many failures in a row (from 1). */
export function laneBackOffMs(failures: number, schedule: Schedule, random: number): number {
  const maxMs = Math.min(maxLaneBackOffMs, schedule.maxDelaySeconds * 1000);
  return spread(failures, random, schedule.initialDelaySeconds * 500, maxMs);
}

function spread(step: number, random: number, initialMs: number, maxMs: number): number {
  const factor = 1 - jitter + 2 * jitter * random;
  // 2^1024 is Infinity, and Math.min takes it as it should.
  return Math.round(Math.min(maxMs, initialMs * 2 ** (step - 1) * factor));
}

/** Never after the end of the message's life: the last attempt is made when it ends, and decides. */
export function nextAttemptTimeMs(
  nowMs: number,
  delayMs: number,
  message: Pick<MessageRecord, 'expiryTimeMs'>,
): number {
  return Math.max(nowMs, Math.min(nowMs + delayMs, message.expiryTimeMs));
}

export function isExpired(message: Pick<MessageRecord, 'expiryTimeMs'>, nowMs: number): boolean {
  return nowMs >= message.expiryTimeMs;
}

/** RFC 3461 s4.1 NOTIFY=DELAY: once a recipient, when it has waited this long; 0 seconds is never. */
export function isDelayWarningDue(
  recipient: Pick<QueuedRecipient, 'delayWarned'>,
  message: Pick<MessageRecord, 'receivedTimeMs'>,
  { retry, nowMs }: { readonly retry: Pick<RetryConfig, 'delayWarningSeconds'>; readonly nowMs: number },
): boolean {
  if (recipient.delayWarned || retry.delayWarningSeconds === 0) return false;
  return nowMs >= message.receivedTimeMs + retry.delayWarningSeconds * 1000;
}

/** When a message has to be looked at even if it cannot be tried: to be given up, or to warn of its delay. */
export function overdueTimeMs(
  message: Pick<MessageRecord, 'receivedTimeMs' | 'expiryTimeMs'>,
  recipients: readonly Pick<QueuedRecipient, 'delayWarned'>[],
  { delayWarningSeconds }: Pick<RetryConfig, 'delayWarningSeconds'>,
): number {
  const warns = delayWarningSeconds > 0 && recipients.some(({ delayWarned }) => !delayWarned);
  const warningTimeMs = message.receivedTimeMs + delayWarningSeconds * 1000;
  return warns ? Math.min(warningTimeMs, message.expiryTimeMs) : message.expiryTimeMs;
}
