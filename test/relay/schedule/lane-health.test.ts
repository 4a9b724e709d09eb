import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneHealth } from '../../../relay/schedule/lane-health.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function health(maxConnections = 20) {
  const clock = new FakeClock(0);
  const limits = { maxConnections, maxMessagesPerConnection: 100, idleConnectionMs: 1000, maxWaiting: 10 };
  return { clock, lane: new LaneHealth({ now: () => clock.now(), restMs: failures => failures * 10_000, limits }) };
}

test('a next hop that never did well rests at its first failure', () => {
  const { lane } = health();
  assert.equal(lane.onConnectFailure({ othersTry: false }), true);
});

test('one that did well is looked at once more after a pause, and rests when that fails too', async () => {
  const { lane, clock } = health();
  lane.onSuccess();
  assert.equal(lane.onConnectFailure({ othersTry: false }), false);
  assert.equal(lane.mayConnect, false);
  await clock.advance(1000);
  assert.equal(lane.mayConnect, true);
  assert.equal(lane.onConnectFailure({ othersTry: false }), true);
});

test('a next hop that takes every second connection never rests', () => {
  const { lane } = health();
  for (let n = 0; n < 50; n++) {
    lane.onSuccess();
    assert.equal(lane.onConnectFailure({ othersTry: false }), false);
  }
});

test('it rests after five broken transactions in a row, and longer each time, until one goes well', () => {
  const { lane, clock } = health();
  const faults = () => Array.from({ length: 5 }, () => lane.onFault({ closing: false }));
  assert.deepEqual(faults(), [false, false, false, false, true]);
  lane.rest();
  assert.equal(lane.restUntilMs, clock.now() + 10_000);
  assert.equal(lane.onFault({ closing: false }), true);
  lane.rest();
  assert.equal(lane.restUntilMs, clock.now() + 20_000);
  assert.equal(lane.limit, 1);
  lane.onSuccess();
  assert.equal(lane.troubled, false);
  assert.equal(lane.onFault({ closing: false }), false);
  assert.equal(lane.onFault({ closing: true }), true);
});
