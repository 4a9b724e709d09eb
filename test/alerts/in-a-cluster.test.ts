/** What test/cluster/journeys/alerts-fire.test.ts claims, told without a cluster: no alert is forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { causesIn, notFired, ruleOf } from '../cluster/monitoring/causes.ts';
import type { World } from '../cluster/monitoring/world.ts';
import { operatorRules, relayRules } from './rules.ts';

const shipped = [...relayRules(), ...operatorRules()].map(({ alert }) => alert);

test('each shipped alert is made to fire in a cluster by one cause, or has the reason why it is not', () => {
  // Causes touch nothing before they begin.
  const nowhere = { cluster: {} } as World;
  const fired = causesIn(nowhere).flatMap(lane => lane.flatMap(({ fires }) => fires.map(ruleOf)));
  assert.deepEqual([...fired, ...Object.keys(notFired)].toSorted(), shipped.toSorted());
});
