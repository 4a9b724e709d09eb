import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  isDelayWarningDue,
  laneBackOffMs,
  nextAttemptTimeMs,
  overdueTimeMs,
  retryDelayMs,
} from '../../../relay/schedule/retry.ts';

const schedule = { initialDelaySeconds: 60, maxDelaySeconds: 14_400 };
const anySchedule = fc
  .record({
    initialDelaySeconds: fc.integer({ min: 1, max: 100_000 }),
    maxDelaySeconds: fc.integer({ min: 1, max: 100_000 }),
  })
  .filter(({ initialDelaySeconds, maxDelaySeconds }) => initialDelaySeconds <= maxDelaySeconds);
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test('the delay doubles from the first to the cap', () => {
  const minutes = Array.from({ length: 10 }, (_, n) => retryDelayMs(n + 1, schedule, 0.5) / 60_000);
  assert.deepEqual(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 240, 240]);
});

test('for the same chance the delay never falls with attempts, and never passes the cap', () => {
  fc.assert(
    fc.property(anySchedule, chance, fc.integer({ min: 1, max: 5000 }), (any, random, attempts) => {
      const delay = retryDelayMs(attempts, any, random);
      assert.ok(delay > 0 && delay <= any.maxDelaySeconds * 1000);
      assert.ok(retryDelayMs(attempts + 1, any, random) >= delay);
    }),
  );
});

test('chance moves a delay by at most a fifth, and does move it', () => {
  fc.assert(
    fc.property(chance, random => {
      const delay = retryDelayMs(3, schedule, random);
      assert.ok(delay >= 240_000 * 0.8 && delay <= 240_000 * 1.2);
    }),
  );
  assert.notEqual(retryDelayMs(3, schedule, 0), retryDelayMs(3, schedule, 0.9));
});

test('a lane rests longer with each failure, and is probed at least every quarter of an hour', () => {
  fc.assert(
    fc.property(anySchedule, chance, fc.integer({ min: 1, max: 5000 }), (any, random, failures) => {
      const rest = laneBackOffMs(failures, any, random);
      assert.ok(rest > 0 && rest <= 900_000);
      assert.ok(laneBackOffMs(failures + 1, any, random) >= rest);
    }),
  );
});

test('the last attempt is made when the lifetime ends, not after', () => {
  assert.equal(nextAttemptTimeMs(1000, 500, { expiryTimeMs: 5000 }), 1500);
  assert.equal(nextAttemptTimeMs(1000, 5000, { expiryTimeMs: 4000 }), 4000);
  assert.equal(nextAttemptTimeMs(1000, 5000, { expiryTimeMs: 500 }), 1000);
});

const warned = { delayWarned: true };
const unwarned = { delayWarned: false };

test('a delay warning is due once, after its time, unless there are none', () => {
  const message = { receivedTimeMs: 0 };
  const retry = { delayWarningSeconds: 10 };
  assert.equal(isDelayWarningDue(unwarned, message, { retry, nowMs: 9999 }), false);
  assert.equal(isDelayWarningDue(unwarned, message, { retry, nowMs: 10_000 }), true);
  assert.equal(isDelayWarningDue(warned, message, { retry, nowMs: 10_000 }), false);
  assert.equal(isDelayWarningDue(unwarned, message, { retry: { delayWarningSeconds: 0 }, nowMs: 1e12 }), false);
});

test('a message is overdue when a warning is due, or else when it expires', () => {
  const message = { receivedTimeMs: 1000, expiryTimeMs: 100_000 };
  const retry = { delayWarningSeconds: 10 };
  assert.equal(overdueTimeMs(message, [warned, unwarned], retry), 11_000);
  assert.equal(overdueTimeMs(message, [warned], retry), 100_000);
  assert.equal(overdueTimeMs(message, [unwarned], { delayWarningSeconds: 0 }), 100_000);
});
