import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyPart, SigningKey } from '../../../operator/cluster/relay-states.ts';
import { programmeOf } from '../../../operator/domainpolicy/programme.ts';
import { domainPolicy } from '../builders.ts';

const policy = domainPolicy({}, { name: 'shop', namespace: 'shop', generation: 2 });
const one: SigningKey = { selector: 'one' };

function programme({
  rendered = {},
  running = {},
  keys = [one],
}: {
  rendered?: Partial<PolicyPart>;
  running?: Partial<PolicyPart> | undefined;
  keys?: readonly SigningKey[];
}): string {
  const part = { digest: 'a', generation: 2, loaded: ['one'], signing: [one] };
  const of = (changes: Partial<PolicyPart>) => new Map([['shop/shop', { ...part, ...changes }]]);
  return programmeOf({ policy, keys, state: { rendered: of(rendered), running: of(running) } });
}

test('a policy runs when the pods run what was made of it as it is now', () => {
  assert.equal(programme({}), 'Applied');
  assert.equal(programme({ running: { digest: 'b' } }), 'Pending');
  assert.equal(programme({ rendered: { generation: 1 } }), 'Pending');
});

test('a key that has just come to sign, or to sign no more, is not run before the relay was told of it', () => {
  const two: SigningKey = { selector: 'two' };
  assert.equal(programme({ keys: [one, two] }), 'Pending');
  assert.equal(programme({ keys: [] }), 'Pending');
  assert.equal(programme({ keys: [{ selector: 'one', signsFor: ['a.example'] }] }), 'Pending');
  // It is loaded alone, as the pods have it.
  assert.equal(programme({ keys: [one, { selector: 'two', signsFor: [] }] }), 'Applied');
  assert.equal(programme({ keys: [two, one], rendered: { signing: [one, two] } }), 'Applied');
});

test('what ran for the process before this one stands until the pods are asked, but for another generation', () => {
  assert.equal(programmeOf({ policy, keys: [one], state: undefined }), 'AsBefore');
  const edited = domainPolicy({}, { name: 'shop', namespace: 'shop', generation: 3 });
  const told = { ...edited, status: { observedGeneration: 2 } };
  assert.equal(programmeOf({ policy: told, keys: [one], state: undefined }), 'Pending');
});
