import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reception } from '../support/counting-sink.ts';
import type { SendResult } from '../support/raw-client.ts';
import { type AuditInput, judge, type SentMessage } from './verdict.ts';

const accepted: SendResult = { outcome: 'accepted', refused: [] };

function sent(recipient: string, result: SendResult = accepted): SentMessage {
  return { recipients: [recipient], result };
}

function arrived(recipient: string, changes: Partial<Reception> = {}): Reception {
  const { timeMs = 1000 } = changes;
  return { recipient, begunMs: timeMs, timeMs, connection: 1, client: 'one', dropped: false, ...changes };
}

function dsnFor(recipient: string, changes: Partial<Reception> = {}): Reception {
  return arrived('me@example.com', { failed: [recipient], ...changes });
}

function faultsOf(input: Partial<AuditInput>): readonly string[] {
  return judge({ sent: [], receptions: [], kills: [], queued: 0, ...input }).faults;
}

test('delivered once or bounced once is right', () => {
  const verdict = judge({
    sent: [sent('a'), sent('b')],
    receptions: [arrived('a'), dsnFor('b')],
    kills: [],
    queued: 0,
  });
  assert.deepEqual(verdict.faults, []);
  assert.deepEqual([verdict.accepted, verdict.delivered, verdict.bounced, verdict.distinct], [2, 1, 1, 2]);
});

test('an accepted recipient of which nothing arrived is lost, unless it is still queued', () => {
  assert.match(faultsOf({ sent: [sent('a')] })[0] ?? '', /neither delivered nor bounced: a/);
  assert.deepEqual(faultsOf({ sent: [sent('a')], queued: 1 }), []);
});

test('a recipient that RCPT refused is not expected to arrive', () => {
  const result: SendResult = { outcome: 'accepted', refused: ['b'] };
  assert.deepEqual(faultsOf({ sent: [{ recipients: ['a', 'b'], result }], receptions: [arrived('a')] }), []);
});

test('an unknown outcome may have arrived or not', () => {
  const unknown: SendResult = { outcome: 'unknown' };
  assert.deepEqual(faultsOf({ sent: [sent('a', unknown), sent('b', unknown)], receptions: [arrived('a')] }), []);
});

test('a refused message must not arrive', () => {
  const refused: SendResult = { outcome: 'refused', reply: '451' };
  assert.match(
    faultsOf({ sent: [sent('a', refused)], receptions: [arrived('a')] })[0] ?? '',
    /though the client was refused/,
  );
  assert.match(
    faultsOf({ sent: [sent('a', { outcome: 'unsent' })], receptions: [arrived('a')] })[0] ?? '',
    /though the client was refused/,
  );
});

for (const [name, receptions, reason] of [
  ['a cut in place of the 250', [arrived('a', { dropped: true }), arrived('a', { timeMs: 9000 })], 'ConnectionDropped'],
  ['a kill right after the 250', [arrived('a', { timeMs: 4990 }), arrived('a', { timeMs: 9000 })], 'Killed'],
  ['a kill long after the 250', [arrived('a', { timeMs: 4000 }), arrived('a', { timeMs: 9000 })], 'Unexplained'],
  ['a kill before the 250', [arrived('a', { timeMs: 5100 }), arrived('a', { timeMs: 9000 })], 'Unexplained'],
  ['a cut of the last arrival alone', [arrived('a'), arrived('a', { timeMs: 2000, dropped: true })], 'Unexplained'],
] as const) {
  test(`a duplicate after ${name}: ${reason}`, () => {
    const verdict = judge({ sent: [sent('a')], receptions, kills: [{ fromMs: 5000, toMs: 5010 }], queued: 0 });
    assert.deepEqual(
      verdict.duplicates.map(({ what, reason: found }) => [what, found]),
      [['a', reason]],
    );
    assert.equal(verdict.faults.length, reason === 'Unexplained' ? 1 : 0);
  });
}

test('a refused message may arrive when its relay did not know whether it was stored, and was killed before it could take it back', () => {
  const message: SentMessage = { ...sent('a', { outcome: 'refused', reply: '451 4.3.0' }), atMs: 5000, server: 'one' };
  const receptions = [arrived('a', { client: 'two', timeMs: 18_000 })];
  const away = { fromMs: 1000, toMs: 2000, kind: 'StoreAway' } as const;
  const killed = { fromMs: 6000, toMs: 6010, client: 'one', kind: 'Killed' } as const;
  assert.deepEqual(judge({ sent: [message], receptions, kills: [away, killed], queued: 0 }).faults, []);
  for (const kills of [[away], [killed], [away, { ...killed, client: 'two' }]])
    assert.match(faultsOf({ sent: [message], receptions, kills })[0] ?? '', /though the client was refused/);
});

const stopped = { fromMs: 5000, toMs: 20_000, client: 'one', kind: 'Stopped' } as const;
const takenOver = arrived('a', { client: 'two', timeMs: 16_000 });
for (const [name, receptions, reason] of [
  ['under way when its relay was stopped', [takenOver, arrived('a', { begunMs: 4900, timeMs: 20_300 })], 'Stopped'],
  [
    'under way when its relay was stopped, before the one who took over was done',
    [arrived('a', { begunMs: 4900, timeMs: 20_300 }), arrived('a', { client: 'two', timeMs: 20_400 })],
    'Stopped',
  ],
  [
    'begun by a relay that woke up, after another had taken over',
    [takenOver, arrived('a', { begunMs: 20_100, timeMs: 20_300 })],
    'Unexplained',
  ],
  [
    'of another relay than the one that was stopped',
    [arrived('a', { client: 'two', timeMs: 4900 }), arrived('a', { client: 'two', timeMs: 20_400 })],
    'Unexplained',
  ],
] as const) {
  test(`a duplicate by a delivery ${name}: ${reason}`, () => {
    const { duplicates } = judge({ sent: [sent('a')], receptions, kills: [stopped], queued: 0 });
    assert.deepEqual(
      duplicates.map(({ what, reason: found }) => [what, found]),
      [['a', reason]],
    );
  });
}

test('where acceptances of a relay take long, so may its settlements: a kill is a reason for longer', () => {
  const receptions = [arrived('a', { timeMs: 4300 }), arrived('a', { client: 'two', timeMs: 18_000 })];
  const kills = [{ fromMs: 5000, toMs: 5010, client: 'one', kind: 'Killed' }] as const;
  const reasonWhen = (changes: Partial<SentMessage>): unknown =>
    judge({
      sent: [{ ...sent('a'), atMs: 4000, tookMs: 400, server: 'one', ...changes }],
      receptions,
      kills,
      queued: 0,
    }).duplicates[0]?.reason;
  assert.equal(reasonWhen({}), 'Killed');
  assert.equal(reasonWhen({ tookMs: 100 }), 'Unexplained');
  assert.equal(reasonWhen({ server: 'two' }), 'Unexplained');
  assert.equal(reasonWhen({ atMs: 12_000 }), 'Unexplained');
});

test('one DSN that arrives twice after a cut is one bounce; two DSNs for a recipient are a fault', () => {
  const again = dsnFor('a', { timeMs: 3000 });
  assert.deepEqual(faultsOf({ sent: [sent('a')], receptions: [dsnFor('a', { dropped: true }), again] }), []);
  const wider = arrived('me@example.com', { failed: ['a', 'b'] });
  assert.match(faultsOf({ sent: [sent('a')], receptions: [dsnFor('a'), wider] })[0] ?? '', /bounced more than once: a/);
});

test('bounced though delivered is a fault', () => {
  assert.match(
    faultsOf({ sent: [sent('a')], receptions: [arrived('a'), dsnFor('a')] })[0] ?? '',
    /though delivered: a/,
  );
});
