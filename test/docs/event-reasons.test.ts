import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { otherEventReasons } from '../../docs/generate.ts';
import { reasons } from '../../operator/conditions.ts';
import { warnedReasons } from '../../operator/news.ts';

const root = join(import.meta.dirname, '../..');

/** Whose reasons are a table in the code, each of which the page has. */
const fromTables = ['operator/domainpolicy/keep-ring.ts', 'operator/mailrelay/material.ts', 'operator/news.ts'];

const records = globSync('operator/**/*.ts', { cwd: root }).flatMap(path =>
  [...readFileSync(join(root, path), 'utf8').matchAll(/\bevents\.record\([^;]*?\breason\b(?::\s*'(\w+)')?[^;]*;/g)].map(
    ([, literal]) => ({ path, literal }),
  ),
);

test('every reason that an Event is given in the code is on the page, and no other', () => {
  const literals = records.flatMap(({ literal }) => literal ?? []);
  assert.deepEqual([...new Set(literals)].toSorted(), Object.keys(otherEventReasons).toSorted());
});

test('every other Event takes its reason from a table that the page has', () => {
  const others = records.filter(({ literal }) => literal === undefined).map(({ path }) => path);
  assert.deepEqual([...new Set(others)].toSorted(), fromTables.toSorted());
});

test('a condition that is told as an Event has its section in the runbook', () => {
  for (const reason of warnedReasons) assert.ok(Object.hasOwn(reasons, reason), reason);
});
