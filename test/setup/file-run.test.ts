import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { type FileResult, runTestFile } from './file-run.ts';

async function run(source: string, limitMs = 20_000): Promise<FileResult> {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'example.test.mjs'), `import { test } from 'node:test';\n${source}`);
  return await runTestFile({ root: folder.path, file: 'example.test.mjs', limitMs });
}

test('a file that passes has its tests and figures counted, and no faults', async () => {
  const result = await run(
    "test('one', t => t.diagnostic('12 messages')); test('two', { skip: 'no disk' }, () => {});",
  );
  assert.deepEqual(
    result.tests.map(({ outcome, name, detail }) => [outcome, name, detail]),
    [
      ['passed', 'one', ''],
      ['skipped', 'two', 'no disk'],
    ],
  );
  assert.deepEqual(result.figures, ['12 messages']);
  assert.deepEqual(result.faults, []);
});

test('a file in which no test ran is a fault', async () => {
  assert.deepEqual((await run('console.log(1);')).faults, ['no test ran']);
});

test('a failing test carries its error', async () => {
  const [only] = (await run("test('fails', () => { throw new Error('this one'); });")).tests;
  assert.equal(only?.outcome, 'failed');
  assert.match(only?.detail ?? '', /this one/);
});

test('a file that crashes after its tests passed is a fault', async () => {
  const { faults } = await run("test('one', () => {}); process.on('exit', () => { process.exitCode = 3; });");
  assert.deepEqual(faults, ['ended with 3 though no test failed']);
});

test('a file that does not end is ended, and is a fault', async () => {
  const { faults } = await run("test('one', () => new Promise(done => setTimeout(done, 600_000)));", 1500);
  assert.deepEqual(faults, ['did not end within 1.5 s']);
});

test('a process left behind is named and ended', async () => {
  const { faults, output } = await run(`
    import { spawn } from 'node:child_process';
    test('one', () => {
      const child = spawn('sleep', ['600'], { stdio: 'ignore' });
      child.unref();
      console.log(child.pid);
    });
  `);
  assert.deepEqual(faults, [`left processes behind: sleep (${output})`]);
});
