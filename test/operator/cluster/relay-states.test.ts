import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PolicyParts, RelayStates } from '../../../operator/cluster/relay-states.ts';

const parts = (digest: string, generation: number): PolicyParts =>
  new Map([['shop/shop', { digest, generation, loaded: [], signing: [] }]]);

test('a policy hears of each of its generations that the relay looked at, also of one that changes nothing there', () => {
  const states = new RelayStates();
  const [one, two] = [parts('a', 1), parts('a', 2)];
  assert.deepEqual(states.set('mail/outbound', { rendered: one, running: undefined }), ['shop/shop']);
  assert.deepEqual(states.set('mail/outbound', { rendered: one, running: one }), ['shop/shop']);
  assert.deepEqual(states.set('mail/outbound', { rendered: one, running: one }), []);
  assert.deepEqual(states.set('mail/outbound', { rendered: two, running: one }), ['shop/shop']);
  assert.deepEqual(states.set('mail/outbound', { rendered: two, running: two }), [], 'it runs what it ran');
  assert.deepEqual(states.set('mail/outbound', { rendered: parts('b', 3), running: two }), ['shop/shop']);
});
