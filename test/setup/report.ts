/** What a run of test files says: a line for each file, what failed and how, and `N passed, N failed` at the end. */
import type { FileResult } from './file-run.ts';

export interface Reporting {
  readonly say: (line: string) => void;
  /** Then a skip is a failure. */
  readonly underCi: boolean;
}

interface WholeRun extends Reporting {
  /** By performance.now(). */
  readonly startedMs: number;
  readonly patterns: readonly string[];
}

function failuresOf({ tests, faults }: FileResult, underCi: boolean): { name: string; detail: string }[] {
  const failed = tests.filter(({ outcome }) => outcome === 'failed' || (underCi && outcome === 'skipped'));
  return [
    ...failed.map(({ name, outcome, detail }) => ({
      name,
      detail: outcome === 'skipped' ? `skipped, which CI does not allow: ${detail}` : detail,
    })),
    ...faults.map(fault => ({ name: '(file)', detail: fault })),
  ];
}

export function failedIn(result: FileResult, underCi: boolean): boolean {
  return failuresOf(result, underCi).length > 0;
}

export function summary(result: FileResult, progress: string, underCi: boolean): string {
  const failures = failuresOf(result, underCi);
  const failed = failures.length;
  const skipped = result.tests.filter(({ outcome }) => outcome === 'skipped');
  const verdict = failed > 0 ? `FAILED ${failed} of` : 'ok';
  const seconds = `${(result.durationMs / 1000).toFixed(1)} s (processor ${result.processorSeconds.toFixed(1)} s)`;
  const head = `${progress} ${verdict} ${result.tests.length} tests, ${seconds}  ${result.file}`;
  const skips = skipped.map(({ name, detail }) => `    skipped: ${name}: ${detail}`);
  // The whole of it stands at the end of the run, which may be half an hour away.
  const faults = failures.map(({ name, detail }) => `    failed: ${name}: ${detail.trimStart().split('\n', 1)[0]}`);
  return [head, ...faults, ...skips, ...result.figures.map(figure => `    ${figure}`)].join('\n');
}

/** The exit code of the run. */
export function report(all: readonly FileResult[], { say, underCi, startedMs, patterns }: WholeRun): 0 | 1 {
  let passed = 0;
  let failed = 0;
  for (const result of all) {
    passed += result.tests.filter(({ outcome }) => outcome === 'passed').length;
    const failures = failuresOf(result, underCi);
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
  const seconds = (performance.now() - startedMs) / 1000;
  say(`\n${all.length} files in ${seconds.toFixed(0)} s`);
  say(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}
