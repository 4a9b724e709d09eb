/** A lane whose next hop other relays send to, as well. Its connections fail; those that work are in test/shared-queue/lanes.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectFailure } from '../../../relay/deliver/connect.ts';
import { deferred } from '../../../relay/deliver/outcome.ts';
import type { LaneRest } from '../../../relay/queue/lane-slots.ts';
import type { LaneShare } from '../../../relay/schedule/lane-share.ts';
import { deadLane, held } from './dead-lane.ts';

function laneOfOthers() {
  const share = { may: 0, othersWork: false, wanted: 0, rests: [] as LaneRest[] };
  const told: LaneShare = {
    get may() {
      return share.may;
    },
    get othersWork() {
      return share.othersWork;
    },
    want() {
      share.wanted += 1;
    },
    used: () => undefined,
    changed: () => undefined,
    rested: rest => void share.rests.push(rest),
    mended: () => undefined,
  };
  return { ...deadLane({ share: told }), share };
}

const failure: ConnectFailure = { setback: deferred('ConnectFailed'), remoteMta: undefined, detail: '' };

test('it makes no connection before it may, and no more than it may', () => {
  const { lane, share, trials } = laneOfOthers();
  for (const id of ['a', 'b', 'c']) lane.offer(held(id));
  assert.equal(trials.length, 0);
  assert.ok(share.wanted > 0);
  assert.deepEqual(lane.word(), { most: 20, open: 0, wants: 3, works: false, proven: false });
  share.may = 2;
  lane.onShare();
  assert.equal(trials.length, 2);
  assert.equal(lane.word().open, 2);
});

test('its failure is told to the others', async () => {
  const { lane, share, fail } = laneOfOthers();
  share.may = 1;
  lane.offer(held('a'));
  await fail();
  assert.deepEqual(share.rests, [{ forMs: 10_000, failures: 1 }]);
});

test('while connections of others work it does not rest: the next hop limits how many', async () => {
  const { lane, share, log, fail } = laneOfOthers();
  share.may = 1;
  share.othersWork = true;
  lane.offer(held('a'));
  await fail();
  assert.equal(lane.resting, false);
  assert.deepEqual(log, ['failed']);
});

test('it rests as others say: what waits goes back untried, and when it then fails it rests as long as theirs would', async () => {
  const { lane, share, clock, log, trials, fail } = laneOfOthers();
  for (const id of ['a', 'b']) lane.offer(held(id));
  lane.onRest({ forMs: 5000, failures: 3 });
  assert.deepEqual(log, ['sendBack a LaneBackedOff 5000', 'sendBack b LaneBackedOff 5000']);
  assert.deepEqual(share.rests, []);
  assert.equal(lane.hasRoom, false);
  await clock.advance(5000);
  share.may = 1;
  lane.offer(held('c'));
  assert.equal(trials.length, 1);
  await fail(failure.setback);
  assert.deepEqual(share.rests, [{ forMs: 40_000, failures: 4 }]);
});

test('it learns how often a next hop failed also when that rest is over', async () => {
  const { lane, share, fail } = laneOfOthers();
  lane.onRest({ forMs: 0, failures: 2 });
  assert.equal(lane.resting, false);
  share.may = 1;
  lane.offer(held('a'));
  await fail();
  assert.deepEqual(share.rests, [{ forMs: 30_000, failures: 3 }]);
});

test('when others have all connections its mail is for them; what has its last attempt now waits here', async () => {
  const { lane, clock, log } = laneOfOthers();
  lane.offer(held('a'));
  lane.offer(held('last', { expiryTimeMs: 4000 }));
  lane.onStarved();
  assert.deepEqual(log, ['sendBack a LaneFull 5000']);
  assert.equal(lane.hasRoom, false);
  assert.equal(lane.word().wants, 1);
  await clock.advance(5000);
  assert.equal(lane.hasRoom, true);
});
