import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { pages } from '../../docs/generate.ts';

for (const [path, render] of Object.entries(pages)) {
  test(`docs/${path} says what the code declares`, async () => {
    const page = await readFile(new URL(`../../docs/${path}`, import.meta.url), 'utf8');
    assert.equal(page, render(), 'npm run generate');
  });
}
