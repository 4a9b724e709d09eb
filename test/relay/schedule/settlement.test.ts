import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecipientResult } from '../../../relay/deliver/outcome.ts';
import type { QueuedRecipient } from '../../../relay/queue/queue.ts';
import { planSettlement } from '../../../relay/schedule/settlement.ts';
import { reply } from '../../../relay/smtp/reply.ts';
import { buildClaim, buildQueued } from '../../support/claim-builders.ts';

const retry = {
  initialDelaySeconds: 60,
  maxDelaySeconds: 3600,
  messageLifetimeSeconds: 1000,
  delayWarningSeconds: 100,
};

function plan(
  result: Omit<RecipientResult, 'index'>,
  more: { recipient?: Partial<QueuedRecipient>; nowMs?: number; restUntilMs?: number } = {},
) {
  const recipients = [buildQueued({ index: 7, ...more.recipient })];
  const claim = buildClaim({ message: { expiryTimeMs: 1_000_000 }, recipients });
  const planned = planSettlement({
    claim,
    results: [{ index: 7, ...result } as RecipientResult],
    retry,
    nowMs: more.nowMs ?? 1000,
    random: 0.5,
    remoteMta: 'mx.test',
    ...(more.restUntilMs === undefined ? {} : { restUntilMs: more.restUntilMs }),
  });
  return { outcome: planned.outcomes[0], notice: planned.notices[0] };
}

const later = {
  result: 'Deferred',
  reason: 'RemoteDeferred',
  attempted: true,
  reply: reply(451, '4.3.0', 'later'),
} as const;
const untried = { result: 'Deferred', reason: 'LaneBackedOff', attempted: false } as const;

test('a deferred recipient is due after its delay, and nobody is told', () => {
  const { outcome, notice } = plan(later, { recipient: { attempts: 2 } });
  assert.deepEqual(outcome, {
    index: 7,
    result: 'Deferred',
    reason: 'RemoteDeferred',
    reply: later.reply,
    attempted: true,
    nextAttemptTimeMs: 1000 + 240_000,
    delayWarned: false,
  });
  assert.equal(notice, undefined);
});

test('one that was not tried is due when its destination has rested, whatever its attempts', () => {
  const { outcome } = plan(untried, { recipient: { attempts: 5 }, restUntilMs: 9000 });
  assert.equal(outcome?.result === 'Deferred' ? outcome.nextAttemptTimeMs : 0, 9000);
});

test('a warning goes out with the first deferral after its time, tried or not, and never again', () => {
  for (const result of [later, untried]) {
    const { outcome, notice } = plan(result, { nowMs: 100_000 });
    assert.equal(outcome?.result === 'Deferred' && outcome.delayWarned, true);
    assert.equal(notice?.action, 'delayed');
    assert.equal(notice.willRetryUntilMs, 1_000_000);
    assert.equal(plan(result, { nowMs: 100_000, recipient: { delayWarned: true } }).notice, undefined);
  }
});

test('a relay that stops warns nobody', () => {
  assert.equal(plan({ ...untried, reason: 'ShuttingDown' } as never, { nowMs: 100_000 }).notice, undefined);
});

test('past its lifetime a deferral is a failure with 4.4.7, in our own words', () => {
  const { outcome, notice } = plan(later, { nowMs: 1_000_000 });
  assert.equal(outcome?.result, 'Failed');
  assert.equal(outcome.result === 'Failed' ? outcome.reply?.enhanced : '', '4.4.7');
  assert.equal(notice?.action, 'failed');
  assert.equal(notice.remoteMta, undefined);
  assert.match(notice.reply?.text ?? '', /451 4\.3\.0 later/);
});

test('a delivery past its lifetime is a delivery', () => {
  assert.equal(
    plan({ result: 'Delivered', dsn: 'PassedOn' } as never, { nowMs: 2_000_000 }).outcome?.result,
    'Delivered',
  );
});

const success = { notify: ['Success'] } as const;
const table = [
  { dsn: 'PassedOn', recipient: success, action: undefined },
  { dsn: 'Relayed', recipient: success, action: 'relayed' },
  { dsn: 'Delivered', recipient: success, action: 'delivered' },
  { dsn: 'Relayed', recipient: {}, action: undefined },
  { dsn: 'Delivered', recipient: { notify: ['Failure'] }, action: undefined },
] as const;
for (const { dsn, recipient, action } of table) {
  test(`a success with ${dsn} and NOTIFY ${JSON.stringify(recipient)} is reported as ${action ?? 'nothing'}`, () => {
    assert.equal(plan({ result: 'Delivered', dsn } as never, { recipient }).notice?.action, action);
  });
}
