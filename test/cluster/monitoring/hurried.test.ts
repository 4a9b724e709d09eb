import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operatorRules, relayRules } from '../../alerts/rules.ts';
import { hurriedRule } from './hurried.ts';

test('a hurried rule differs from the shipped one in ranges, offsets and waiting alone', () => {
  const all = [...relayRules(), ...operatorRules()];
  const times = /(\[|offset )\d+[smhd]/g;
  for (const rule of all) {
    const hurried = hurriedRule(rule);
    assert.equal(hurried.expr.replaceAll(times, '$1'), rule.expr.replaceAll(times, '$1'));
    assert.deepEqual({ ...hurried, expr: rule.expr, for: rule.for }, rule);
  }
  const named = new Map(all.map(rule => [rule.alert, hurriedRule(rule)]));
  assert.match(named.get('PostroadRelayRestarting')?.expr ?? '', /\[120s\]/);
  assert.match(named.get('PostroadOperatorHandlerErrors')?.expr ?? '', /offset 120s\b/);
  assert.equal(named.get('PostroadRelayRestarting')?.for, '0s');
  assert.equal(named.get('PostroadRelayDown')?.for, '5s');
  assert.equal(named.get('PostroadMailHeld')?.for, '30s');
});
