import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { renderMetrics } from '../../docs/generate.ts';

test('the metrics page is what the code declares', async () => {
  const page = await readFile(new URL('../../docs/reference/metrics.md', import.meta.url), 'utf8');
  assert.equal(page, renderMetrics(), 'npm run generate');
});
