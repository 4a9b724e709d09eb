import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readScripts } from '../../../relay/queue/redis/scripts.ts';

test('whatever the scripts run is asked for when a partition is opened', () => {
  const scripts = readScripts();
  const texts = Object.values(scripts).map(({ text }) => text);
  const run = texts.flatMap(text => [...text.matchAll(/redis\.call\('(\w+)'/g)].map(([, command = '']) => command));
  const needed = /needed = ([\s\S]*?)\nfor /.exec(scripts.open.text)?.[1]?.match(/[A-Z]+/g);
  assert.deepEqual(needed, [...new Set(run)].sort());
});
