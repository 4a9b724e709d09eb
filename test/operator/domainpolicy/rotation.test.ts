import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { arrivalMarginMs } from '../../../operator/domainpolicy/rotation.ts';
import { dayMs, RingWorld as World } from './ring-world.ts';

describe('a DKIM key', () => {
  it('signs once its record is seen and every pod has loaded it, and not before', () => {
    const world = new World({ algorithms: ['Ed25519'] });
    world.pass();
    assert.equal(world.states, 'e1 Pending');
    world.say('e1', 'Yes');
    world.pass();
    assert.equal(world.states, 'e1 Published');
    world.pass();
    assert.equal(world.states, 'e1 Published', 'no pod has it');
    world.roll();
    world.say('e1', 'Unknown');
    world.pass();
    assert.equal(world.states, 'e1 Published', 'no look has an answer');
    world.say('e1', 'Yes');
    world.pass();
    assert.equal(world.states, 'e1 Active');
  });

  it('makes way when its time is over, and its record is asked for until its last message can have arrived', () => {
    const world = new World({ algorithms: ['RSA2048'] });
    world.settle();
    assert.equal(world.states, 'r1 Active');
    world.nowMs += 83 * dayMs;
    world.settle();
    assert.equal(world.states, 'r1 Active, r2 Published', 'early enough for its record to be published');
    world.nowMs += 7 * dayMs - 1;
    world.settle();
    assert.equal(world.states, 'r1 Active, r2 Published');
    world.nowMs += 1;
    world.pass();
    assert.equal(world.states, 'r1 Retiring, r2 Active');
    world.nowMs += 30 * dayMs;
    world.pass();
    assert.equal(world.states, 'r1 Retiring, r2 Active', 'a pod still signs with it');
    world.roll();
    world.pass();
    world.nowMs += Math.max(5 * dayMs + arrivalMarginMs, 7 * dayMs) - 1;
    world.pass();
    assert.equal(world.states, 'r1 Retiring, r2 Active');
    world.nowMs += 1;
    world.pass();
    assert.equal(world.states, 'r2 Active');
  });

  it('is kept for as long again when a pod that was away comes back signing with it', () => {
    const world = new World({ algorithms: ['Ed25519'] });
    world.settle();
    world.nowMs += 90 * dayMs;
    world.settle();
    world.settle();
    world.nowMs += 6 * dayMs;
    world.signing.add('e1');
    world.pass();
    world.roll();
    world.pass();
    world.nowMs += 6 * dayMs;
    world.pass();
    assert.equal(world.states, 'e1 Retiring, e2 Active');
    world.nowMs += dayMs;
    world.pass();
    assert.equal(world.states, 'e2 Active');
  });

  it('stops when its record is gone, and goes on when it is back; a look without an answer changes nothing', () => {
    const world = new World({ algorithms: ['Ed25519'] });
    world.settle();
    world.say('e1', 'Unknown');
    world.pass();
    assert.equal(world.states, 'e1 Active');
    world.say('e1', 'No');
    world.pass();
    assert.equal(world.states, 'e1 Pending');
    assert.equal(world.events.at(-1), 'e1 KeyRecordLost');
    world.settle();
    assert.equal(world.states, 'e1 Active');
  });

  it('that was replaced is used again when its successor loses its record', () => {
    const world = new World({ algorithms: ['RSA2048'] });
    world.settle();
    world.nowMs += 91 * dayMs;
    world.settle();
    assert.equal(world.states, 'r1 Retiring, r2 Active');
    world.say('r2', 'No');
    world.pass();
    assert.equal(world.states, 'r1 Active, r2 Pending', 'the pods still have it: no mail goes unsigned');
    world.settle();
    assert.equal(world.states, 'r1 Retiring, r2 Active');
  });

  it('waits for overlapDays where nobody looks', () => {
    const world = new World({ algorithms: ['Ed25519'], checks: 'Disabled' });
    world.pass();
    assert.equal(world.pass().againMs, 7 * dayMs);
    world.nowMs += 7 * dayMs - 1;
    world.pass();
    assert.equal(world.states, 'e1 Pending');
    world.nowMs += 1;
    world.pass();
    world.roll();
    world.pass();
    assert.equal(world.states, 'e1 Active');
  });

  it('of an algorithm that is asked for no more signs until one that is asked for does', () => {
    const world = new World({ algorithms: ['RSA2048'] });
    world.settle();
    world.nowMs += 1;
    world.settings = { ...world.settings, algorithms: ['Ed25519'] };
    world.pass();
    world.pass();
    assert.equal(world.states, 'r1 Active, e2 Pending');
    world.settle();
    assert.equal(world.states, 'r1 Retiring, e2 Active');
  });

  it('is never replaced with a period of 0', () => {
    const world = new World({ algorithms: ['Ed25519'], rotationPeriodMs: 0 });
    world.settle();
    world.nowMs += 5000 * dayMs;
    world.settle();
    assert.equal(world.states, 'e1 Active');
  });

  it('leaves when keys are managed no more', () => {
    const world = new World();
    world.settle();
    world.settings = { ...world.settings, algorithms: [] };
    world.pass();
    assert.match(world.states, /^r1 Retiring, e2 Retiring$/);
    world.roll();
    world.pass();
    world.nowMs += 7 * dayMs;
    world.pass();
    assert.equal(world.states, '');
  });
});
