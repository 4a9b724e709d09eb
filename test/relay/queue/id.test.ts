import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createQueueId } from '../../../relay/queue/id.ts';

test('queue ids sort by time of arrival', () => {
  const ids = [0, 1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 2 ** 48 - 1].map(createQueueId);
  assert.deepEqual([...ids].sort(), ids);
});

test('queue ids are safe in file names and URLs, and do not repeat', () => {
  const ids = new Set(Array.from({ length: 20_000 }, () => createQueueId(1_700_000_000_000)));
  assert.equal(ids.size, 20_000);
  for (const id of ids) assert.match(id, /^[0-9A-HJKMNP-TV-Z]{26}$/);
});
