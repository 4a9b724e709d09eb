import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nearName } from '../../crds/near-name.ts';

const known = ['hostname', 'listeners', 'tls', 'route', 'dns'];

describe('a near name', () => {
  const cases: readonly [string, string | undefined][] = [
    ['hostnam', 'hostname'],
    ['hostName', 'hostname'],
    ['listner', 'listeners'],
    ['ruote', undefined],
    ['rout', 'route'],
    ['tsl', undefined],
    ['dsn', undefined],
    ['dn', 'dns'],
    ['something', undefined],
    ['', undefined],
    ['h'.repeat(100_000), undefined],
  ];
  for (const [given, expected] of cases) {
    it(`of ${JSON.stringify(given.slice(0, 20))} is ${expected ?? 'none'}`, () => {
      assert.equal(nearName(given, known), expected);
    });
  }
});
