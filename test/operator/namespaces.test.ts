import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LabelSelector } from '../../crds/common.ts';
import { choosesNamespace, chosenNamespaces } from '../../operator/namespaces.ts';

const namespaces = new Map([
  ['prod', { stage: 'prod', team: 'shop' }],
  ['test', { stage: 'test', team: 'shop' }],
  ['bare', {}],
]);

describe('a selector of namespaces', () => {
  const cases: readonly [string, LabelSelector, string[]][] = [
    ['that is empty means all that are there', {}, ['bare', 'prod', 'test']],
    ['takes labels that must all match', { matchLabels: { stage: 'prod', team: 'shop' } }, ['prod']],
    ['takes In', { matchExpressions: [{ key: 'stage', operator: 'In', values: ['prod', 'x'] }] }, ['prod']],
    [
      'takes NotIn, which a missing label meets',
      { matchExpressions: [{ key: 'stage', operator: 'NotIn', values: ['prod'] }] },
      ['bare', 'test'],
    ],
    ['takes Exists', { matchExpressions: [{ key: 'team', operator: 'Exists' }] }, ['prod', 'test']],
    ['takes DoesNotExist', { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] }, ['bare']],
    [
      'is not taken in by the names of object members',
      { matchExpressions: [{ key: 'constructor', operator: 'Exists' }] },
      [],
    ],
    ['needs a value where In has none', { matchExpressions: [{ key: 'team', operator: 'In' }] }, []],
  ];
  for (const [name, selector, expected] of cases) {
    it(name, () => assert.deepEqual(chosenNamespaces({ from: 'Selector', selector }, 'own', namespaces), expected));
  }

  it('of All means also a namespace that nobody has seen', () => {
    assert.equal(choosesNamespace({ from: 'All' }, 'own', namespaces)('new'), true);
    assert.equal(choosesNamespace({ from: 'Same' }, 'own', namespaces)('new'), false);
    assert.equal(choosesNamespace({ from: 'Same' }, 'own', namespaces)('own'), true);
  });
});
