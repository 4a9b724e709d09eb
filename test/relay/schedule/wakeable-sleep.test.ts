import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WakeableSleep } from '../../../relay/schedule/wakeable-sleep.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('it sleeps until its time', async () => {
  const clock = new FakeClock(0);
  const sleep = new WakeableSleep(clock);
  let awake = false;
  const sleeping = sleep.until(1000).then(() => {
    awake = true;
  });
  await clock.advance(999);
  assert.equal(awake, false);
  await clock.advance(1);
  await sleeping;
});

test('what is due sooner wakes it, and what is due later does not', async () => {
  const clock = new FakeClock(0);
  const sleep = new WakeableSleep(clock);
  let awake = 0;
  const sleeping = sleep.until(1000).then(() => {
    awake += 1;
  });
  sleep.wakeAt(2000);
  await clock.advance(0);
  assert.equal(awake, 0);
  sleep.wakeAt(500);
  await sleeping;
  assert.equal(clock.now(), 0);
  // And the next sleep ends when that is due.
  const next = sleep.until(1000);
  await clock.advance(500);
  await next;
});

test('a call while the sleeper is awake is not forgotten', async () => {
  const clock = new FakeClock(0);
  const sleep = new WakeableSleep(clock);
  sleep.wake();
  await sleep.until(1000);
  assert.equal(clock.now(), 0);
});
