import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { reasons } from '../../operator/conditions.ts';

test('docs/runbooks/conditions.md has a section for each reason of a condition, and no other, each with something to do', async () => {
  const page = await readFile(new URL('../../docs/runbooks/conditions.md', import.meta.url), 'utf8');
  const sections = page.split(/^(?=#{1,2} )/m).filter(section => section.startsWith('## '));
  const titles = sections.map(section => section.slice(3, section.indexOf('\n')));
  assert.deepEqual(titles.toSorted(), Object.keys(reasons).toSorted());
  for (const section of sections) assert.match(section, /^1\. \S/m, section);
});
