/** From what an attempt came to, to what the queue is told and who is to be notified. Pure. */
import type { RetryConfig } from '../config.ts';
import type { Deferred, Failed, RecipientResult } from '../deliver/outcome.ts';
import type { Claim, Outcome, QueuedRecipient } from '../queue/queue.ts';
import { formatReply, type Reply, reply } from '../smtp/reply.ts';
import { isDelayWarningDue, isExpired, nextAttemptTimeMs, retryDelayMs } from './retry.ts';

/** What a DSN is about (RFC 3464 s2.3). */
export interface Notice {
  readonly recipient: QueuedRecipient;
  readonly action: 'failed' | 'delayed' | 'delivered' | 'relayed';
  readonly reason: string;
  readonly lastAttemptTimeMs: number;
  readonly reply?: Reply;
  readonly remoteMta?: string;
  readonly willRetryUntilMs?: number;
}

export interface Plan {
  readonly outcomes: readonly Outcome[];
  readonly notices: readonly Notice[];
}

export interface PlanInput {
  readonly claim: Claim;
  readonly results: readonly RecipientResult[];
  readonly retry: RetryConfig;
  readonly nowMs: number;
  /** In [0, 1). */
  readonly random: number;
  /** Host that spoke, when one did. */
  readonly remoteMta?: string;
  /** When what was not tried is due again; now, when it does not say. */
  readonly restUntilMs?: number;
}

export function planSettlement(input: PlanInput): Plan {
  const outcomes: Outcome[] = [];
  const notices: Notice[] = [];
  const byIndex = new Map(input.claim.recipients.map(recipient => [recipient.index, recipient]));
  for (const result of input.results) {
    const recipient = byIndex.get(result.index);
    if (recipient === undefined) throw new Error(`a result for recipient ${result.index}, which is not in the claim`);
    const planned = planRecipient(input, recipient, result);
    outcomes.push(planned.outcome);
    if (planned.notice !== undefined) notices.push(planned.notice);
  }
  return { outcomes, notices };
}

interface Planned {
  readonly outcome: Outcome;
  readonly notice: Notice | undefined;
}

function planRecipient(input: PlanInput, recipient: QueuedRecipient, result: RecipientResult): Planned {
  switch (result.result) {
    case 'Delivered': {
      const outcome = { index: result.index, result: 'Delivered' } as const;
      // RFC 3461 s5.2.2 (relayed) and s6.1 (delivered); a next hop that took the wish over sends its own.
      const wanted = result.dsn !== 'PassedOn' && recipient.notify.includes('Success');
      if (!wanted) return { outcome, notice: undefined };
      const action = result.dsn === 'Relayed' ? 'relayed' : 'delivered';
      return { outcome, notice: notice(input, recipient, { action, reason: 'Accepted', reply: result.reply }) };
    }
    case 'Failed':
      return planFailed(input, recipient, result);
    case 'Deferred':
      return isExpired(input.claim.message, input.nowMs)
        ? planFailed(ourOwn(input), recipient, expired(result))
        : planDeferred(input, recipient, result);
  }
}

function planFailed(input: PlanInput, recipient: QueuedRecipient, { reason, reply: answer }: Failed): Planned {
  return {
    outcome: { index: recipient.index, result: 'Failed', reason, reply: answer },
    notice: notice(input, recipient, { action: 'failed', reason, reply: answer }),
  };
}

/** The reply is ours, whatever the next hop last said. */
function ourOwn({ remoteMta: _, ...input }: PlanInput): PlanInput {
  return input;
}

/** RFC 5321 s4.5.4.1: after its lifetime a message that still waits is given up; X.4.7 is "delivery time expired" (RFC 3463 s3.5). */
function expired({ index, reason, reply: answer }: Deferred): Failed {
  const last = answer === undefined ? reason : formatReply(answer);
  return {
    index,
    result: 'Failed',
    reason: 'Expired',
    reply: reply(451, '4.4.7', `delivery time expired; last: ${last}`),
  };
}

function planDeferred(input: PlanInput, recipient: QueuedRecipient, result: Deferred): Planned {
  const { claim, retry, nowMs, random } = input;
  const { reason, attempted } = result;
  const delayMs = attempted
    ? retryDelayMs(recipient.attempts + 1, retry, random)
    : Math.max(0, (input.restUntilMs ?? nowMs) - nowMs);
  const warn = reason !== 'ShuttingDown' && isDelayWarningDue(recipient, claim.message, { retry, nowMs });
  const outcome: Outcome = {
    index: recipient.index,
    result: 'Deferred',
    reason,
    attempted,
    nextAttemptTimeMs: nextAttemptTimeMs(nowMs, delayMs, claim.message),
    delayWarned: recipient.delayWarned || warn,
    ...(result.reply === undefined ? {} : { reply: result.reply }),
  };
  if (!warn) return { outcome, notice: undefined };
  return { outcome, notice: notice(input, recipient, { action: 'delayed', reason, reply: result.reply }) };
}

interface NoticeCore {
  readonly action: Notice['action'];
  readonly reason: string;
  readonly reply: Reply | undefined;
}

function notice(input: PlanInput, recipient: QueuedRecipient, core: NoticeCore): Notice {
  return {
    recipient,
    action: core.action,
    reason: core.reason,
    lastAttemptTimeMs: input.nowMs,
    ...(core.reply === undefined ? {} : { reply: core.reply }),
    ...(input.remoteMta === undefined ? {} : { remoteMta: input.remoteMta }),
    ...(core.action === 'delayed' ? { willRetryUntilMs: input.claim.message.expiryTimeMs } : {}),
  };
}
