import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asking } from '../../../relay/queue/redis/conversation.ts';
import { partitionOf } from '../../../relay/queue/redis/keys.ts';
import { Life } from '../../../relay/queue/redis/life.ts';
import { Owner, ownerTtlMs } from '../../../relay/queue/redis/owner.ts';

const [here, there] = [partitionOf('life:', 0, 2), partitionOf('life:', 1, 2)];

/** `takesMs`: from a question to its answer. */
function lifeOf(): { life: Life; world: { nowMs: number; takesMs: number; taken: string } } {
  const world = { nowMs: 1000, takesMs: 1, taken: '' };
  const conversation: Asking = {
    ask() {
      world.nowMs += world.takesMs;
      return Promise.resolve({ reply: [0, Buffer.from(world.taken)], doubtful: false });
    },
    command: () => Promise.reject(new Error('nothing asks for that')),
    close: () => undefined,
  };
  const monotonicMs = (): number => world.nowMs;
  return { life: new Life({ conversation, partitions: [here, there], owner: new Owner(), monotonicMs }), world };
}

test('an owner that is heard again and again stays sure of what it leased', async () => {
  const { life, world } = lifeOf();
  for (let n = 0; n < 20; n += 1) {
    world.nowMs += ownerTtlMs / 4;
    assert.equal(life.sure(here), true);
    await life.beat(here);
  }
  assert.equal(life.era(here), 0);
});

test('after a standstill it is sure of nothing; that it lives again does not make it sure of what it leased before', async () => {
  const { life, world } = lifeOf();
  world.nowMs += ownerTtlMs;
  assert.equal(life.sure(here), false);
  await life.beat(here);
  assert.equal(life.sure(here), true);
  assert.equal(life.era(here), 1);
});

test('nor does a sign of life that was heard too late, though it was given in time', async () => {
  const { life, world } = lifeOf();
  world.nowMs += ownerTtlMs / 2;
  world.takesMs = ownerTtlMs / 2;
  await life.beat(here);
  assert.equal(life.sure(here), true);
  assert.equal(life.era(here), 1);
});

test('nor what was taken from it while its own clock stood still, as that of a machine does which is halted', async () => {
  const { life, world } = lifeOf();
  await life.beat(here);
  world.taken = '1800000000000';
  await life.beat(here);
  assert.equal(life.era(here), 1);
  await life.beat(here);
  assert.equal(life.era(here), 1);
});

test('a renewal after a standstill says first that it lives, so that what it tells is of the era after', async () => {
  const { life, world } = lifeOf();
  world.nowMs += ownerTtlMs;
  assert.deepEqual(await life.renew(['owner.0-1.1'], 1000), []);
  assert.equal(life.sure(here), true);
  assert.equal(life.era(here), 1);
});

test('who is not heard in one partition, or lost its leases there, is as sure of the others as before', async () => {
  const { life, world } = lifeOf();
  for (let n = 0; n < 8; n += 1) {
    world.nowMs += ownerTtlMs / 4;
    await life.beat(there);
  }
  assert.deepEqual([life.sure(here), life.sure(there)], [false, true]);
  await life.beat(here);
  assert.deepEqual([life.era(here), life.era(there)], [1, 0]);
  world.taken = '1800000000000';
  await life.beat(here);
  life.endEra(here);
  assert.deepEqual([life.era(here), life.era(there)], [3, 0]);
});
