import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { generatedChartFiles } from '../charts/generate.ts';
import { chartValues, withValuesTable } from '../charts/values-table.ts';
import { kinds } from '../crds/kinds.ts';

const root = join(import.meta.dirname, '..');
const chart = join(root, 'charts', 'postroad');
const read = (path: string): string => readFileSync(join(chart, path), 'utf8');

for (const [path, text] of generatedChartFiles(root)) {
  test(`${path} is what the code makes (npm run generate)`, () => {
    assert.equal(readFileSync(join(root, path), 'utf8'), text);
  });
}

test('the chart has a template for each kind, and none for another', () => {
  const files = readdirSync(join(chart, 'templates', 'crds'));
  assert.deepEqual(files.toSorted(), kinds.map(({ plural }) => `${plural}.yaml`).toSorted());
});

test('the chart is of the version that the package is', () => {
  const { version, appVersion } = parse(read('Chart.yaml'));
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.deepEqual([version, appVersion], [own.version, own.version]);
});

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
}

/** Paths of what a schema takes; a map of anything, and what is no map, is an end. */
function pathsBelow({ properties }: Schema, above: readonly string[] = []): string[] {
  if (properties === undefined) return [above.join('.')];
  return Object.entries(properties).flatMap(([name, schema]) => pathsBelow(schema, [...above, name]));
}

test('the schema takes every value that values.yaml has, and no other', () => {
  const schema = JSON.parse(read('values.schema.json')) as Schema;
  const taken = pathsBelow(schema).map(path => path.replace(/^operator\.resources\..*/, 'operator.resources'));
  const values = chartValues(read('values.yaml')).map(({ path }) => path);
  assert.deepEqual([...new Set(taken)].filter(path => path !== 'global').toSorted(), values.toSorted());
});

test('a value without a sentence is refused, and a table that has no place', () => {
  assert.deepEqual(chartValues('a:\n  # -- One.\n  b: 1\n  # -- Two | three.\n  c: [x]\n'), [
    { path: 'a.b', standard: 1, sentence: 'One.' },
    { path: 'a.c', standard: ['x'], sentence: 'Two | three.' },
  ]);
  assert.throws(() => chartValues('a:\n  # -- One.\n  b: 1\n  c: 2\n'), /a\.c has no sentence/);
  assert.throws(() => withValuesTable('# Nothing', []), /no place/);
});
