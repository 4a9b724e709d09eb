import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LaneGrant } from '../../../relay/queue/lane-slots.ts';
import { type LaneMember, MemberShare } from '../../../relay/schedule/lane-share.ts';

const grantMs = 9500;

function shareOf() {
  const world = { nowMs: 0, open: 0, wants: 0, log: [] as string[], due: [] as number[] };
  const member: LaneMember = {
    key: 'lane',
    word: () => ({ most: 10, open: world.open, wants: world.wants, works: world.open > 0, proven: true }),
    onShare: () => undefined,
    onRest: ({ forMs, failures }) => void (forMs > 0 && world.log.push(`rest ${forMs} ${failures}`)),
    onStarved: () => world.log.push('starved'),
  };
  const share: MemberShare = new MemberShare(member, {
    monotonicMs: () => world.nowMs,
    grantMs,
    place: 0,
    onDue: () => world.due.push(share.dueMs),
  });
  const told = (grant: Partial<LaneGrant>): boolean => {
    const word = share.word();
    return share.take(
      word,
      { may: 0, part: 0, othersWork: false, rest: { forMs: 0, failures: 0 }, ...grant },
      world.nowMs,
    );
  };
  return { share, world, told };
}

test('it may have what was granted for as long as the grant holds from when it was asked, and then nothing', () => {
  const { share, world } = shareOf();
  assert.equal(share.may, 0);
  world.wants = 5;
  const word = share.word();
  const saidMs = world.nowMs;
  world.nowMs += 1000;
  share.take(word, { may: 5, part: 5, othersWork: true, rest: { forMs: 0, failures: 0 } }, saidMs);
  assert.equal(share.othersWork, true);
  world.nowMs = saidMs + grantMs - 1;
  assert.equal(share.may, 5);
  world.nowMs += 1;
  assert.equal(share.may, 0);
});

test('until it is answered it has no more than it said that it holds, whatever it was granted before', () => {
  const { share, world, told } = shareOf();
  world.wants = 5;
  told({ may: 5 });
  world.open = 2;
  world.wants = 1;
  assert.equal(share.word().holds, 2);
  world.wants = 5;
  assert.equal(share.may, 2);
});

test('it says that it holds what it has open, also when it may have less', () => {
  const { share, world, told } = shareOf();
  world.open = 4;
  told({ may: 1 });
  assert.equal(share.may, 1);
  assert.equal(share.word().holds, 4);
});

test('it asks at once for the first and for more, soon again for what it did not get, and every second while it has any', () => {
  const { share, world, told } = shareOf();
  world.nowMs = 1000;
  world.wants = 1;
  share.want();
  assert.equal(share.dueMs, 1000);
  assert.equal(told({ may: 0 }), true);
  assert.equal(share.dueMs, 1250);
  share.want();
  assert.equal(share.dueMs, 1250);
  world.wants = 2;
  share.want();
  assert.equal(share.dueMs, 1000);
  world.open = 2;
  assert.equal(told({ may: 2 }), true);
  assert.equal(share.dueMs, 2000);
  world.open = 0;
  world.wants = 0;
  assert.equal(told({ may: 0 }), false);
});

test('a rest is told until it was heard, and one that was told while another word was on its way is told by the next', () => {
  const { share, told } = shareOf();
  share.rested({ forMs: 1000, failures: 1 });
  assert.deepEqual(share.word().rest, { forMs: 1000, failures: 1 });
  // Not answered.
  const word = share.word();
  assert.deepEqual(word.rest, { forMs: 1000, failures: 1 });
  share.rested({ forMs: 2000, failures: 2 });
  share.take(word, { may: 0, part: 0, othersWork: false, rest: { forMs: 900, failures: 1 } }, 0);
  assert.deepEqual(share.word().rest, { forMs: 2000, failures: 2 });
  told({});
  assert.equal(share.word().rest, undefined);
});

test('without any for three seconds its mail is for the others; not when the lane rests or it got one in between', () => {
  const { world, told } = shareOf();
  world.wants = 3;
  told({});
  world.nowMs += 2999;
  told({});
  assert.deepEqual(world.log, []);
  world.nowMs += 1;
  told({});
  assert.deepEqual(world.log, ['starved']);
  told({});
  world.nowMs += 2500;
  told({ may: 1 });
  world.nowMs += 2500;
  told({});
  world.nowMs += 2500;
  told({ rest: { forMs: 100, failures: 1 } });
  world.nowMs += 2500;
  told({});
  assert.deepEqual(world.log, ['starved', 'rest 100 1']);
});

test('while a part of them is its own it waits for longer: others end theirs when a delivery is done', () => {
  const { world, told } = shareOf();
  world.wants = 3;
  told({ part: 1 });
  world.nowMs += 29_999;
  told({ part: 1 });
  assert.deepEqual(world.log, []);
  world.nowMs += 1;
  told({ part: 1 });
  assert.deepEqual(world.log, ['starved']);
});

test('connections that were in use within the last second or two count as wanted, while they are open', () => {
  const { share, world } = shareOf();
  world.open = 6;
  share.used(4);
  share.used(1);
  assert.equal(share.word().wants, 4);
  world.nowMs += 1000;
  share.used(2);
  assert.equal(share.word().wants, 4);
  world.nowMs += 1000;
  assert.equal(share.word().wants, 2);
  world.nowMs += 1000;
  assert.equal(share.word().wants, 0);
  share.used(6);
  world.open = 3;
  assert.equal(share.word().wants, 3);
});
