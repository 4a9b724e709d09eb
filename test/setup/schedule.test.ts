import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { longFiles } from './long-files.ts';
import { inOrder, machineCores, needOf, nextFile, runInTurn } from './schedule.ts';

const needs = {
  waits: { seconds: 80, cores: 0.3 },
  works: { seconds: 20, cores: 1.2 },
  measures: { seconds: 50, cores: machineCores },
};

test('the longest starts first, what takes the whole machine last, and short ones keep their order', () => {
  assert.deepEqual(inOrder(['b', 'a', 'measures', 'works', 'waits'], needs), ['waits', 'works', 'b', 'a', 'measures']);
});

const choices = [
  { waiting: ['measures'], running: [], next: 'measures', why: 'nothing runs' },
  { waiting: ['measures', 'a'], running: ['waits'], next: 'a', why: 'the first has no room, the second has' },
  { waiting: ['works', 'a'], running: ['a'], next: 'a', why: '1 and 1.2 are more than two cores' },
  { waiting: ['works'], running: ['waits'], next: 'works', why: 'one waits most of the time' },
  { waiting: ['waits'], running: ['measures'], next: undefined, why: 'nothing runs beside what measures' },
  { waiting: ['waits'], running: ['waits', 'waits', 'waits', 'waits'], next: undefined, why: 'four are enough' },
  { waiting: [], running: ['a'], next: undefined, why: 'none is left' },
];
for (const { waiting, running, next, why } of choices) {
  test(`beside ${running.length} running ${next ?? 'none'} starts: ${why}`, () => {
    assert.equal(nextFile(waiting, running, needs), next);
  });
}

test('each file runs once, and never do those that run need more than the machine has', async () => {
  const files = ['measures', ...Array.from({ length: 30 }, (_, i) => `short ${i}`), 'works', 'waits'];
  const ran: string[] = [];
  const running = new Set<string>();
  let most = 0;
  await runInTurn(files, needs, async file => {
    ran.push(file);
    running.add(file);
    const cores = [...running].reduce((sum, one) => sum + needOf(one, needs).cores, 0);
    assert.ok(cores <= machineCores + 0.001, [...running].join());
    most = Math.max(most, running.size);
    for (let i = 0; i < needOf(file, needs).seconds; i++) await setImmediate();
    running.delete(file);
  });
  assert.deepEqual(ran.toSorted(), files.toSorted());
  assert.equal(most, 2);
});

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
