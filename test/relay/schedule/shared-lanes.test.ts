import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../../relay/log.ts';
import type { LaneGrant, LaneWord } from '../../../relay/queue/lane-slots.ts';
import type { LaneMember, LaneShare } from '../../../relay/schedule/lane-share.ts';
import { SharedLanes } from '../../../relay/schedule/shared-lanes.ts';
import { FakeClock } from '../../support/fake-clock.ts';

interface Question {
  readonly place: number;
  readonly words: readonly LaneWord[];
  readonly answer: PromiseWithResolvers<readonly LaneGrant[]>;
}

/** `<place>/<name>` is a lane's key. */
function sharedLanes() {
  const clock = new FakeClock(0);
  const asked: Question[] = [];
  const stopping = new AbortController();
  const lanes = new SharedLanes({
    slots: {
      grantMs: 9500,
      placeOf: key => Number(key.split('/')[0]),
      ask(place, words) {
        const answer = Promise.withResolvers<readonly LaneGrant[]>();
        asked.push({ place, words, answer });
        return answer.promise;
      },
    },
    clock,
    log: createLog('silent'),
    monotonicMs: () => clock.now(),
  });
  const kept = lanes.keep(stopping.signal);
  const join = (key: string, wants = 1) => {
    const lane = { open: 0, wants };
    const member: LaneMember = {
      key,
      word: () => ({ most: 10, works: false, proven: false, ...lane }),
      onShare: () => undefined,
      onRest: () => undefined,
      onStarved: () => undefined,
    };
    return { lane, share: lanes.join(member) };
  };
  const stop = async () => {
    stopping.abort();
    lanes.wake();
    await kept;
  };
  return { clock, asked, lanes, join, stop };
}

function grantAll({ words, answer }: Question): void {
  answer.resolve(
    words.map(({ wants }) => ({ may: wants, part: wants, othersWork: false, rest: { forMs: 0, failures: 0 } })),
  );
}

const keysOf = ({ words }: Question) => words.map(({ key }) => key);

test('what lanes of one place want at a time is asked together, and again when it was answered', async () => {
  const { clock, asked, join, stop } = sharedLanes();
  const [a, b] = [join('0/a'), join('0/b')];
  a.share.want();
  b.share.want();
  await clock.advance(0);
  assert.deepEqual(asked.map(keysOf), [['0/a', '0/b']]);
  a.lane.wants = 2;
  a.share.want();
  await clock.advance(5000);
  assert.equal(asked.length, 1);
  const [first] = asked;
  assert.ok(first);
  grantAll(first);
  await clock.advance(0);
  assert.deepEqual(asked.map(keysOf), [['0/a', '0/b'], ['0/a']]);
  assert.equal(a.share.may, 1);
  await stop();
});

test('a place that does not answer keeps no other waiting', async () => {
  const { clock, asked, join, stop } = sharedLanes();
  const [slow, quick] = [join('0/slow'), join('1/quick')];
  slow.share.want();
  await clock.advance(0);
  quick.share.want();
  await clock.advance(0);
  assert.deepEqual(asked.map(keysOf), [['0/slow'], ['1/quick']]);
  const [, second] = asked;
  assert.ok(second);
  grantAll(second);
  await clock.advance(0);
  assert.deepEqual([slow.share.may, quick.share.may], [0, 1]);
  await stop();
});

test('what could not be asked is asked again, and a lane that wants and has nothing says so once and then no more', async () => {
  const { clock, asked, join, stop } = sharedLanes();
  const { lane, share } = join('0/a');
  share.want();
  await clock.advance(0);
  asked[0]?.answer.reject(new Error('away'));
  await clock.advance(499);
  assert.equal(asked.length, 1);
  await clock.advance(1);
  assert.equal(asked.length, 2);
  lane.wants = 0;
  assert.ok(asked[1]);
  grantAll(asked[1]);
  await clock.advance(60_000);
  assert.equal(asked.length, 2);
  share.changed();
  await clock.advance(0);
  assert.deepEqual(asked[2]?.words[0]?.wants, 0);
  await stop();
});

test('a lane that was forgotten has no say any more when another of its name does', async () => {
  const { clock, asked, join, stop } = sharedLanes();
  const old = join('0/a');
  old.share.want();
  await clock.advance(0);
  const successor = join('0/a', 3);
  successor.share.want();
  asked[0]?.answer.reject(new Error('away'));
  await clock.advance(500);
  assert.deepEqual(
    asked.slice(1).flatMap(({ words }) => words.map(({ wants }) => wants)),
    [3],
  );
  await stop();
});

test('a queue of one relay alone limits nothing', () => {
  const lanes = new SharedLanes({ slots: undefined, clock: new FakeClock(0), log: createLog('silent') });
  const share: LaneShare = lanes.join({
    key: 'a',
    word: () => ({ most: 10, open: 0, wants: 0, works: false, proven: false }),
    onShare: () => undefined,
    onRest: () => undefined,
    onStarved: () => undefined,
  });
  assert.equal(share.may, Number.POSITIVE_INFINITY);
});
