import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dayMs, RingWorld } from './ring-world.ts';

const [one, two] = ['one.example', 'two.example'];
const newWorld = (changes: Partial<RingWorld['settings']> = {}): RingWorld =>
  new RingWorld({ domains: [one, two], algorithms: ['Ed25519'], ...changes });

describe('a DKIM key of several domains', () => {
  it('signs for those where its record is, and for the others once it is there', () => {
    const world = newWorld();
    world.pass();
    world.say('e1', 'Yes', one);
    world.say('e1', 'No', two);
    world.pass();
    assert.equal(world.states, 'e1 Published');
    world.roll();
    world.pass();
    assert.deepEqual(world.signed, ['e1@one.example']);
    world.say('e1', 'Yes', two);
    world.pass();
    assert.deepEqual(world.signed, ['e1@one.example', 'e1@two.example'], 'the pods have it already');
  });

  it('goes on signing for those before when a domain is added', () => {
    const world = newWorld({ domains: [one] });
    world.settle();
    world.settings = { ...world.settings, domains: [one, two] };
    world.say('e1', 'No', two);
    world.pass();
    assert.deepEqual(world.signed, ['e1@one.example']);
    assert.equal(world.events.includes('e1 KeyRecordLost'), false, 'what never was there is not lost');
    world.say('e1', 'Yes', two);
    world.pass();
    assert.deepEqual(world.signed, ['e1@one.example', 'e1@two.example']);
  });

  it('stops for the one that loses its record, and for no other', () => {
    const world = newWorld();
    world.settle();
    world.say('e1', 'No', two);
    const { events } = world.pass();
    assert.deepEqual(
      events.map(({ reason, domains }) => ({ reason, domains })),
      [{ reason: 'KeyRecordLost', domains: [two] }],
    );
    assert.deepEqual(world.signed, ['e1@one.example']);
  });

  it('makes way where its successor is seen, and signs for the rest until it is there too', () => {
    const world = newWorld();
    world.settle();
    world.nowMs += 90 * dayMs;
    world.pass();
    world.say('e2', 'Yes', one);
    world.say('e2', 'No', two);
    world.pass();
    world.roll();
    world.pass();
    assert.deepEqual(world.signed, ['e1@two.example', 'e2@one.example']);
    assert.equal(world.states, 'e1 Active, e2 Active');
    world.nowMs += 200 * dayMs;
    world.say('e1', 'Yes');
    assert.deepEqual(world.pass().mint, [], 'one rotation at a time');
    world.say('e2', 'Yes', two);
    world.pass();
    assert.deepEqual(world.signed, ['e2@one.example', 'e2@two.example']);
    assert.equal(world.states, 'e1 Retiring, e2 Active');
  });

  it('is used again where its successor loses its record, and nowhere else', () => {
    const world = newWorld();
    world.settle();
    world.nowMs += 91 * dayMs;
    world.settle();
    world.say('e2', 'No', two);
    world.pass();
    world.roll();
    world.pass();
    assert.deepEqual(world.signed, ['e1@two.example', 'e2@one.example']);
    assert.equal(world.events.at(-1), 'e1 KeyActivated');
  });

  it('that is to be used again waits for the pods, however often it is looked at', () => {
    const world = newWorld();
    world.settle();
    world.nowMs += 91 * dayMs;
    world.settle();
    world.loaded.delete('e1');
    world.say('e2', 'No', two);
    world.pass();
    world.pass();
    assert.equal(world.states, 'e1 Published, e2 Active');
    assert.equal(world.events.at(-1), 'e1 KeyReturned');
    world.roll();
    world.pass();
    assert.deepEqual(world.signed, ['e1@two.example', 'e2@one.example']);
  });

  it('does not come back for a domain that was added, while nobody has looked for its successor there', () => {
    const world = newWorld({ domains: [one] });
    world.settle();
    world.nowMs += 91 * dayMs;
    world.settle();
    assert.equal(world.states, 'e1 Retiring, e2 Active');
    world.settings = { ...world.settings, domains: [one, two] };
    world.say('e1', 'Yes', two);
    world.pass();
    assert.equal(world.states, 'e1 Retiring, e2 Active');
  });

  it('waits for overlapDays at a domain that is added where nobody looks', () => {
    const world = newWorld({ domains: [one], checks: 'Disabled' });
    world.pass();
    world.nowMs += 7 * dayMs;
    world.pass();
    world.roll();
    world.pass();
    world.settings = { ...world.settings, domains: [one, two] };
    world.pass();
    assert.deepEqual(world.signed, ['e1@one.example']);
    world.nowMs += 7 * dayMs;
    world.pass();
    assert.deepEqual(world.signed, ['e1@one.example', 'e1@two.example']);
  });
});

describe('keys that the owner wants replaced now', () => {
  it('sign until their successors can, whose turn is at once, and their records are then needed no more', () => {
    const world = newWorld();
    world.settle();
    world.settings = { ...world.settings, request: 'exposed' };
    world.pass();
    assert.equal(world.states, 'e1 Active, e2 Pending');
    assert.deepEqual(world.signed, ['e1@one.example', 'e1@two.example'], 'no mail goes unsigned');
    world.say('e2', 'Yes');
    world.pass();
    world.roll();
    world.pass();
    assert.equal(world.states, 'e1 Retiring, e2 Active');
    world.pass();
    assert.equal(world.states, 'e1 Retiring, e2 Active', 'a pod still signs with it');
    world.roll();
    world.pass();
    assert.equal(world.states, 'e2 Active');
    assert.equal(world.events.at(-1), 'e1 KeyWithdrawn');
    world.settle();
    assert.equal(world.states, 'e2 Active', 'a wish is granted once');
    world.settings = { ...world.settings, request: undefined };
    world.settle();
    world.settings = { ...world.settings, request: 'exposed' };
    world.settle();
    assert.equal(world.states, 'e2 Active', 'the same text is the same wish');
    world.settings = { ...world.settings, request: 'again' };
    world.settle();
    world.settle();
    assert.equal(world.states, 'e3 Active');
  });

  it('are never used again, whatever becomes of their successors', () => {
    const world = newWorld();
    world.settle();
    world.settings = { ...world.settings, request: 'exposed' };
    world.pass();
    world.say('e2', 'Yes', one);
    world.say('e2', 'No', two);
    world.pass();
    world.roll();
    world.pass();
    assert.deepEqual(world.signed, ['e1@two.example', 'e2@one.example']);
    world.say('e2', 'No', one);
    world.pass();
    assert.deepEqual(world.signed, ['e1@two.example'], 'it stays where it signed, and signs nowhere anew');
    world.say('e1', 'No', two);
    world.pass();
    world.say('e1', 'Yes');
    world.pass();
    assert.deepEqual(world.signed, []);
    world.roll();
    world.pass();
    assert.equal(world.states, 'e2 Pending');
  });

  it('do not come back while a pod still signs with them', () => {
    const world = newWorld();
    world.settle();
    world.settings = { ...world.settings, request: 'exposed' };
    world.pass();
    world.say('e2', 'Yes');
    world.pass();
    world.roll();
    world.pass();
    world.say('e2', 'No');
    world.pass();
    assert.equal(world.states, 'e1 Retiring, e2 Pending');
    assert.equal(world.events.includes('e1 KeyReturned'), false);
  });

  it('follow one whose record its owner took away first', () => {
    const world = newWorld();
    world.settle();
    world.say('e1', 'No');
    world.pass();
    world.roll();
    world.pass();
    assert.equal(world.states, 'e1 Pending', 'nothing follows it by itself: its record may come back');
    world.settings = { ...world.settings, request: 'exposed' };
    world.pass();
    assert.equal(world.states, 'e2 Pending');
    assert.deepEqual(world.events.slice(-2), ['e1 KeyRevoked', 'e1 KeyWithdrawn']);
  });

  it('are all that were made before, those that retire and those that wait included', () => {
    const world = newWorld();
    world.settle();
    world.nowMs += 91 * dayMs;
    world.settle();
    world.nowMs += dayMs;
    assert.equal(world.states, 'e1 Retiring, e2 Active');
    world.settings = { ...world.settings, request: 'exposed' };
    world.pass();
    assert.equal(world.states, 'e2 Active, e3 Pending');
    world.settings = { ...world.settings, request: 'again' };
    world.pass();
    assert.equal(world.states, 'e2 Active, e4 Pending');
  });
});
