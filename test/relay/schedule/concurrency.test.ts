import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Concurrency } from '../../../relay/schedule/concurrency.ts';

test('it grows by one a success until the first trouble, then by one a round', () => {
  const concurrency = new Concurrency(() => 20);
  assert.equal(concurrency.limit, 5);
  for (let n = 0; n < 7; n++) concurrency.onSuccess();
  assert.equal(concurrency.limit, 12);
  concurrency.onTrouble();
  assert.equal(concurrency.limit, 6);
  concurrency.onSuccess();
  assert.equal(concurrency.limit, 6);
  for (let n = 0; n < 6; n++) concurrency.onSuccess();
  assert.equal(concurrency.limit, 7);
});

test('after a rest one connection finds out', () => {
  const concurrency = new Concurrency(() => 20);
  concurrency.onRest();
  assert.equal(concurrency.limit, 1);
  concurrency.onSuccess();
  assert.equal(concurrency.limit, 2);
});

test('it is always between 1 and the most allowed, whatever happens', () => {
  const event = fc.constantFrom('onSuccess' as const, 'onTrouble' as const, 'onRest' as const);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(event, { maxLength: 300 }), (max, events) => {
      const concurrency = new Concurrency(() => max);
      for (const each of events) {
        concurrency[each]();
        assert.ok(concurrency.limit >= 1 && concurrency.limit <= max);
      }
    }),
  );
});

test('a limit that a reload lowers or raises is kept from then on', () => {
  let max = 20;
  const concurrency = new Concurrency(() => max);
  for (let n = 0; n < 30; n++) concurrency.onSuccess();
  assert.equal(concurrency.limit, 20);
  max = 3;
  assert.equal(concurrency.limit, 3);
  concurrency.onTrouble();
  assert.equal(concurrency.limit, 1);
  max = 8;
  for (let n = 0; n < 100; n++) concurrency.onSuccess();
  assert.equal(concurrency.limit, 8);
});
