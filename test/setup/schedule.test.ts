import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { longFiles } from './long-files.ts';
import { allCores, inOrder, needOf, nextFile, runInTurn } from './schedule.ts';

const needs = {
  waits: { seconds: 40, cores: 0.2 },
  works: { seconds: 20, cores: 1.6 },
  measures: { seconds: 50, cores: allCores },
};

test('the most work starts first, what takes all cores last, and short ones keep their order', () => {
  assert.deepEqual(inOrder(['b', 'a', 'measures', 'waits', 'works'], needs), ['works', 'waits', 'b', 'a', 'measures']);
});

const choices = [
  { waiting: ['measures'], running: [], next: 'measures', why: 'nothing runs' },
  { waiting: ['measures', 'a'], running: ['waits'], next: 'a', why: 'what measures has to wait, the second has not' },
  { waiting: ['works', 'a'], running: ['a'], next: 'works', why: 'the two keep the machine busy' },
  { waiting: ['works', 'waits'], running: ['a', 'a'], next: 'waits', why: 'there is no room for more work' },
  { waiting: ['waits'], running: ['measures'], next: undefined, why: 'nothing runs beside what measures' },
  { waiting: ['waits'], running: ['waits', 'waits', 'waits', 'waits'], next: undefined, why: 'four are enough' },
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
