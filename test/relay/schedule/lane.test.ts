import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deferred } from '../../../relay/deliver/outcome.ts';
import { deadLane, held } from './dead-lane.ts';

test('it opens as many connections as there are messages, up to its first limit', () => {
  const { lane, trials } = deadLane();
  for (let n = 0; n < 8; n++) lane.offer(held(`m${n}`));
  assert.equal(trials.length, 5);
});

test('when there is no connection, one message is settled as tried and the others go back untried until the rest is over', async () => {
  const { lane, log, fail } = deadLane();
  for (const id of ['a', 'b', 'c']) lane.offer(held(id));
  await fail();
  assert.deepEqual(
    log.filter(line => line.startsWith('settle')),
    ['settle a true'],
  );
  assert.deepEqual(
    log.filter(line => line.startsWith('sendBack')),
    ['sendBack b LaneBackedOff 10000', 'sendBack c LaneBackedOff 10000'],
  );
  assert.equal(lane.resting, true);
  assert.equal(lane.hasRoom, false);
});

test('connections that fail together are one failure: the first rest is the shortest', async () => {
  const { lane, clock, trials, fail } = deadLane();
  for (let n = 0; n < 5; n++) lane.offer(held(`m${n}`));
  assert.equal(trials.length, 5);
  await fail();
  await clock.advance(9999);
  assert.equal(lane.resting, true);
  await clock.advance(1);
  assert.equal(lane.resting, false);
});

test('while some still try to connect, one that fails does not make the lane rest', async () => {
  const { lane, log, trials } = deadLane();
  for (const id of ['a', 'b']) lane.offer(held(id));
  const [first] = trials;
  first?.({ setback: deferred('ConnectFailed'), remoteMta: undefined, detail: '' });
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(lane.resting, false);
  assert.deepEqual(log, ['failed']);
});

test('a rest that a reload ends is over at once, and the next one is the shortest again', async () => {
  const { lane, clock, log, fail } = deadLane();
  for (const id of ['a', 'b']) {
    lane.offer(held(id));
    await fail();
    await clock.advance(10_000);
  }
  assert.equal(lane.resting, true);
  lane.endRest();
  assert.equal(lane.hasRoom, true);
  for (const id of ['c', 'd']) lane.offer(held(id));
  await fail();
  assert.ok(log.includes(`sendBack d LaneBackedOff ${clock.now() + 10_000}`));
});

test('while it rests nothing is tried; after it one connection finds out, and a second failure rests longer', async () => {
  const { lane, clock, log, trials, fail } = deadLane();
  lane.offer(held('a'));
  await fail();
  lane.offer(held('b'));
  assert.equal(trials.length, 0);
  assert.equal(log.at(-1), 'sendBack b LaneBackedOff 10000');
  await clock.advance(10_000);
  assert.equal(lane.hasRoom, true);
  for (const id of ['c', 'd']) lane.offer(held(id));
  assert.equal(trials.length, 1);
  await fail();
  assert.equal(log.at(-2), 'sendBack d LaneBackedOff 30000');
  assert.equal(log.at(-1), 'settle c true');
});

test('trouble with TLS that only this policy asks for does not suspend the destination for others', async () => {
  const { lane, log, fail } = deadLane({ route: { ownTls: true } });
  for (const id of ['a', 'b']) lane.offer(held(id));
  await fail(deferred('TlsFailed'));
  assert.ok(log.includes('release b LaneBackedOff'));
  assert.ok(!log.some(line => line.startsWith('sendBack')));
});

test('a full line suspends its destinations once; when the lane rests, they rest with it', async () => {
  const { lane, log, fail } = deadLane({ maxWaiting: 10 });
  for (let n = 0; n < 14; n++) lane.offer(held(`m${n}`));
  const suspensions = () => log.filter(line => line.startsWith('suspend'));
  assert.deepEqual(suspensions(), ['suspend direct/dest.test 30000']);
  await fail();
  lane.pump();
  assert.deepEqual(suspensions(), ['suspend direct/dest.test 30000', 'suspend direct/dest.test 10000']);
});

test('a full line that is short again lifts what it suspended', () => {
  const { lane, log } = deadLane({ maxWaiting: 10 });
  const all = Array.from({ length: 14 }, (_, n) => held(`m${n}`));
  for (const each of all) lane.offer(each);
  for (const each of all) each.lost = true;
  lane.pump();
  assert.equal(log.filter(line => line === 'suspend direct/dest.test 0').length, 1);
});

test('a message whose lease was lost while it waited is dropped, not sent', async () => {
  const { lane, log, fail, clock } = deadLane();
  const lost = held('lost');
  lost.lost = true;
  lane.offer(lost);
  await fail();
  await clock.advance(0);
  assert.deepEqual(log, ['drop lost']);
});

test('a connect that throws is a fault of ours: deferred, and the lane goes on', async () => {
  const { lane, log, clock } = deadLane({ route: { connect: async () => await Promise.reject(new Error('bug')) } });
  lane.offer(held('a'));
  await clock.advance(0);
  assert.ok(log.includes('settle a true'));
});

test('after stop nothing is kept, and what comes later goes back at once', async () => {
  const { lane, log, fail, host } = deadLane();
  for (const id of ['a', 'b']) lane.offer(held(id));
  lane.stop();
  await fail();
  lane.offer(held('c'));
  assert.deepEqual(
    log.filter(line => line !== 'failed'),
    ['release a ShuttingDown', 'release b ShuttingDown', 'release c ShuttingDown'],
  );
  assert.equal(host.budget.open, 0);
  assert.equal(lane.unused, true);
});
