/**
 * `npm test [PATTERN...]`: set-up, then every test file whose path holds one of the patterns, each in its own process group with a
 * time limit. Those in test/redis/ only run when that folder is named. The last line is `N passed, N failed`. A skip is a failure under
 * CI=true; a file without a test always is one.
 */
import { glob } from 'node:fs/promises';
import { relative } from 'node:path';
import { setUpBuiltPrograms, skippedFile } from './setup/built-programs.ts';
import { type FileResult, runTestFile, stopRunningFiles } from './setup/file-run.ts';
import { longFiles } from './setup/long-files.ts';
import { setUpPackages } from './setup/packages.ts';
import { needOf, runInTurn } from './setup/schedule.ts';

const root = new URL('..', import.meta.url).pathname;
const underCi = process.env['CI'] === 'true';
/** Of any file; what takes long anyway may take this much and four times as long as it does on a quiet machine. */
const fileLimitMs = 120_000;
/** Run only when a pattern names the folder: they take minutes, and what they show is not offered to users yet. */
const onlyNamed = 'test/redis/';

/**
 * Not part of every run yet: with a new seed each time it still ends, now and then, before everything has come to rest, and a test that may
 * fail for nothing keeps everything else from landing. `npm run test:chaos` runs it.
 */
const onlyWhenNamed = 'test/apiserver/operator-dies.test.ts';

const patterns = process.argv.slice(2);
const say = (line: string): void => console.log(line);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopRunningFiles();
    process.kill(process.pid, signal);
  });
}

const started = performance.now();
const missing = await setUpPackages(say);
if (missing.length > 0) say(`set-up: tests that need ${missing.join(', ')} will ${underCi ? 'fail' : 'be skipped'}`);
const files = await testFiles();
const unable = await setUpBuiltPrograms(files, say);
const results = await runAll(files);
report(results);

async function testFiles(): Promise<string[]> {
  const found: string[] = [];
  for await (const file of glob('test/**/*.test.ts', { cwd: root })) found.push(relative(root, `${root}/${file}`));
  return found.filter(isChosen).sort();
}

function isChosen(file: string): boolean {
  const named = patterns.filter(pattern => pattern.startsWith(onlyNamed));
  if (file.startsWith(onlyNamed)) return named.some(pattern => file.includes(pattern));
  if (patterns.length === 0) return file !== onlyWhenNamed;
  return patterns.some(pattern => file.includes(pattern));
}

async function runAll(all: readonly string[]): Promise<FileResult[]> {
  const done: FileResult[] = [];
  await runInTurn(all, longFiles, async file => {
    const reason = unable.get(file);
    const limitMs = fileLimitMs + 4000 * needOf(file, longFiles).seconds;
    const result = reason === undefined ? await runTestFile({ root, file, limitMs }) : skippedFile(file, reason);
    done.push(result);
    say(summary(result, `${done.length}/${all.length}`));
  });
  return done;
}

function failuresOf({ tests, faults }: FileResult): { name: string; detail: string }[] {
  const failed = tests.filter(({ outcome }) => outcome === 'failed' || (underCi && outcome === 'skipped'));
  return [
    ...failed.map(({ name, outcome, detail }) => ({
      name,
      detail: outcome === 'skipped' ? `skipped, which CI does not allow: ${detail}` : detail,
    })),
    ...faults.map(fault => ({ name: '(file)', detail: fault })),
  ];
}

function summary(result: FileResult, progress: string): string {
  const failed = failuresOf(result).length;
  const skipped = result.tests.filter(({ outcome }) => outcome === 'skipped');
  const verdict = failed > 0 ? `FAILED ${failed} of` : 'ok';
  const seconds = `${(result.durationMs / 1000).toFixed(1)} s (processor ${result.processorSeconds.toFixed(1)} s)`;
  const head = `${progress} ${verdict} ${result.tests.length} tests, ${seconds}  ${result.file}`;
  const skips = skipped.map(({ name, detail }) => `    skipped: ${name}: ${detail}`);
  return [head, ...skips, ...result.figures.map(figure => `    ${figure}`)].join('\n');
}

function report(all: readonly FileResult[]): void {
  let passed = 0;
  let failed = 0;
  for (const result of all) {
    passed += result.tests.filter(({ outcome }) => outcome === 'passed').length;
    const failures = failuresOf(result);
    failed += failures.length;
    if (failures.length === 0) continue;
    say(`\n${result.file}`);
    for (const { name, detail } of failures) say(`  failed: ${name}\n${detail.replaceAll(/^/gm, '    ')}`);
    if (result.output !== '') say(`  its output ended with:\n${result.output.replaceAll(/^/gm, '    ')}`);
  }
  if (all.length === 0) {
    say(`no test file matches ${patterns.join(' ')}`);
    failed += 1;
  }
  const seconds = (performance.now() - started) / 1000;
  say(`\n${all.length} files in ${seconds.toFixed(0)} s`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
  say(`${passed} passed, ${failed} failed`);
}
