import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chartFolder, helm } from './helm.ts';
import { refusedValues } from './values-cases.ts';

for (const [values, says] of refusedValues) {
  test(`values are refused: ${JSON.stringify(values)}`, async () => {
    const { code, stderr } = await helm(['template', 'x', chartFolder], { values });
    assert.notEqual(code, 0);
    assert.match(stderr, says);
  });
}

test('a service account that is not made must be named', async () => {
  const { code, stderr } = await helm(['template', 'x', chartFolder], {
    values: { serviceAccount: { create: false } },
  });
  assert.notEqual(code, 0);
  assert.match(stderr, /serviceAccount.name is needed/);
});
