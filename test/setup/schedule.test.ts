import assert from 'node:assert/strict';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fileNeeds, mostClusters } from '../cluster/file-needs.ts';
import { longFiles } from './long-files.ts';
import { allCores, inOrder, needOf, nextFile, runInTurn } from './schedule.ts';

const needs = {
  waits: { seconds: 40, cores: 0.2 },
  works: { seconds: 20, cores: 1.6 },
  measures: { seconds: 50, cores: allCores },
  'loud one': { seconds: 20, cores: 0.5, alone: ['noise'] },
  'loud two': { seconds: 10, cores: 0.5, alone: ['noise'] },
  listens: { seconds: 5, cores: 0.5, alone: ['noise', 'light'] },
  shines: { seconds: 50, cores: 0.5, alone: ['light'] },
};

test('the most work starts first, what takes all cores last, and short ones keep their order', () => {
  assert.deepEqual(inOrder(['b', 'a', 'measures', 'waits', 'works'], needs), ['works', 'waits', 'b', 'a', 'measures']);
});

test('what keeps the most work from running beside it starts before what only has more work of its own', () => {
  const files = ['works', 'loud two', 'shines', 'loud one', 'listens'];
  // In all 42.5 cannot run beside what listens, 27.5 beside what shines, 17.5 beside what is loud.
  assert.deepEqual(inOrder(files, needs), ['listens', 'shines', 'loud one', 'loud two', 'works']);
});

const choices = [
  { waiting: ['measures'], running: [], next: 'measures', why: 'nothing runs' },
  { waiting: ['measures', 'a'], running: ['waits'], next: 'a', why: 'what measures has to wait, the second has not' },
  { waiting: ['works', 'a'], running: ['a'], next: 'works', why: 'the two keep the machine busy' },
  { waiting: ['works', 'waits'], running: ['a', 'a'], next: 'waits', why: 'there is no room for more work' },
  { waiting: ['waits'], running: ['measures'], next: undefined, why: 'nothing runs beside what measures' },
  { waiting: ['waits'], running: ['waits', 'waits', 'waits', 'waits'], next: undefined, why: 'four are enough' },
  {
    waiting: ['loud one', 'a'],
    running: ['loud two'],
    next: 'a',
    why: 'two that must be alone in the same respect are not at once',
  },
  { waiting: ['loud one', 'a'], running: ['shines'], next: 'loud one', why: 'they are alone in different respects' },
  { waiting: ['listens'], running: ['shines'], next: undefined, why: 'one respect of two is enough' },
  { waiting: [], running: ['a'], next: undefined, why: 'none is left' },
];
for (const { waiting, running, next, why } of choices) {
  test(`of ${waiting.join(' and ') || 'nothing'} beside ${running.join(' and ') || 'nothing'} ${next ?? 'none'} starts: ${why}`, () => {
    assert.equal(nextFile(waiting, running, needs), next);
  });
}

test('each file runs once, what measures alone, and others beside each other', async () => {
  const files = ['measures', ...Array.from({ length: 30 }, (_, i) => `short ${i}`), 'works', 'waits'];
  const ran: string[] = [];
  const running = new Set<string>();
  let most = 0;
  await runInTurn(files, needs, async file => {
    ran.push(file);
    running.add(file);
    most = Math.max(most, running.size);
    for (let i = 0; i < needOf(file, needs).seconds; i++) {
      await setImmediate();
      if (running.has('measures')) assert.deepEqual([...running], ['measures']);
    }
    running.delete(file);
  });
  assert.deepEqual(ran.toSorted(), files.toSorted());
  assert.equal(most, 4);
});

test('of the journeys in clusters one at a time is under load, two others beside it, and no more are up than there shall be', async () => {
  const underLoad = new Set(Object.keys(fileNeeds).filter(isUnderLoad));
  const files = [...Object.keys(fileNeeds), 'test/cluster/journeys/novel.test.ts'];
  const running = new Set<string>();
  const order: string[] = [];
  let beside = 0;
  await runInTurn(
    files,
    fileNeeds,
    async file => {
      running.add(file);
      order.push(file);
      assert.ok(running.size <= mostClusters);
      const loaded = running.intersection(underLoad).size;
      assert.ok(loaded <= 1, [...running].join(' '));
      beside = Math.max(beside, loaded === 1 ? running.size - 1 : 0);
      for (let i = 0; i < needOf(file, fileNeeds).seconds; i++) await setImmediate();
      running.delete(file);
    },
    mostClusters,
  );
  assert.equal(beside, 2);
  // It measures: nothing may be worked off beside it that others have let pile up for minutes.
  assert.equal(order[0], 'test/cluster/journeys/cost.test.ts');
});

test('each journey with the load of all is said to be under load', async () => {
  const folder = 'test/cluster/journeys';
  const root = new URL('../..', import.meta.url).pathname;
  for (const name of await readdir(join(root, folder))) {
    const file = join(folder, name);
    const text = await readFile(join(root, file), 'utf8');
    const hasLoad = text.includes('LoadedRelay.start(') && !/\{ rate[ ,]/.test(text);
    if (hasLoad) assert.ok(isUnderLoad(file), file);
  }
});

function isUnderLoad(file: string): boolean {
  return needOf(file, fileNeeds).alone?.includes('load') ?? false;
}

test('a run that fails ends all', async () => {
  await assert.rejects(
    runInTurn(['a', 'b', 'c'], needs, async file => {
      if (file === 'b') throw new Error('no disk');
    }),
    /no disk/,
  );
});

test('each file that is said to take long is there', async () => {
  for (const file of Object.keys(longFiles)) await access(new URL(`../../${file}`, import.meta.url));
});
