import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLimit } from '../../../operator/mailrelay/limit.ts';

test('one owner never has more than its share, and takes turns with the others for the rest', async () => {
  const limit = createLimit({ most: 3, mostOfOne: 2 });
  const started: string[] = [];
  const ends: (() => void)[] = [];
  const work = (owner: string): Promise<void> =>
    limit(owner, async () => {
      started.push(owner);
      await new Promise<void>(resolve => ends.push(resolve));
    });
  const all = ['greedy', 'greedy', 'greedy', 'greedy', 'one', 'one', 'two'].map(work);
  const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
  await settle();
  assert.deepEqual(started, ['greedy', 'greedy', 'one']);
  for (let ended = 0; ended < all.length; ended++) {
    ends[ended]?.();
    await settle();
  }
  await Promise.all(all);
  assert.deepEqual(started.slice(3).sort(), ['greedy', 'greedy', 'one', 'two']);
  assert.equal(started.indexOf('two') < started.lastIndexOf('greedy'), true, started.join(' '));
});

test('work that fails gives its place back', async () => {
  const limit = createLimit({ most: 1, mostOfOne: 1 });
  for (let time = 0; time < 3; time++)
    await assert.rejects(
      limit('one', () => Promise.reject(new Error('no answer'))),
      /no answer/,
    );
  assert.equal(await limit('two', async () => 'done'), 'done');
});
