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
import { report, summary } from './setup/report.ts';
import { needOf, runInTurn } from './setup/schedule.ts';

const root = new URL('..', import.meta.url).pathname;
const underCi = process.env['CI'] === 'true';
/** Of any file; what takes long anyway may take this much and four times as long as it does on a quiet machine. */
const fileLimitMs = 120_000;
/** Run only when a pattern names the folder: they take minutes. */
const onlyNamed = 'test/redis/';

/** These run by test/cluster/run.ts, most of them in the cluster that it boots. */
const inCluster = 'test/cluster/';

const patterns = process.argv.slice(2);
const say = (line: string): void => console.log(line);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopRunningFiles();
    process.kill(process.pid, signal);
  });
}

const startedMs = performance.now();
const missing = await setUpPackages(say);
if (missing.length > 0) say(`set-up: tests that need ${missing.join(', ')} will ${underCi ? 'fail' : 'be skipped'}`);
const files = await testFiles();
const unable = await setUpBuiltPrograms(files, say);
const results = await runAll(files);
process.exitCode = report(results, { say, underCi, startedMs, patterns });

async function testFiles(): Promise<string[]> {
  const found: string[] = [];
  for await (const file of glob('test/**/*.test.ts', { cwd: root })) found.push(relative(root, `${root}/${file}`));
  return found.filter(isChosen).sort();
}

function isChosen(file: string): boolean {
  if (file.startsWith(inCluster)) return false;
  const named = patterns.filter(pattern => pattern.startsWith(onlyNamed));
  if (file.startsWith(onlyNamed)) return named.some(pattern => file.includes(pattern));
  return patterns.length === 0 || patterns.some(pattern => file.includes(pattern));
}

async function runAll(all: readonly string[]): Promise<FileResult[]> {
  const done: FileResult[] = [];
  await runInTurn(all, longFiles, async file => {
    const reason = unable.get(file);
    const limitMs = fileLimitMs + 4000 * needOf(file, longFiles).seconds;
    const result = reason === undefined ? await runTestFile({ root, file, limitMs }) : skippedFile(file, reason);
    done.push(result);
    say(summary(result, `${done.length}/${all.length}`, underCi));
  });
  return done;
}
