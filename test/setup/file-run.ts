/** Runs one test file in its own process group, reads its report, and leaves nothing of it behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot } from './go-programs.ts';
import { groupMembers, signalGroup } from './process-group.ts';
import type { ReportLine } from './reporter.ts';

/** Half a second of each start of a process is compiling, and the tests start hundreds. */
const compileCache = join(cacheRoot(), 'compiled');

type TestLine = Extract<ReportLine, { type: 'test' }>;

export interface FileResult {
  readonly file: string;
  readonly tests: readonly TestLine[];
  /** What went wrong beside the tests: no test at all, a time-out, a crash, a process left behind. */
  readonly faults: readonly string[];
  readonly figures: readonly string[];
  /** The end of what it printed. */
  readonly output: string;
  readonly durationMs: number;
  /** Of the processor, all processes together. */
  readonly processorSeconds: number;
}

interface FileRun {
  readonly root: string;
  readonly file: string;
  readonly limitMs: number;
  /** A command that runs the one after it somewhere else, and waits for its end. */
  readonly through?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What the name of its temporary folder begins with. */
  readonly folderName?: string;
}

/** With the folder that holds everything temporary of it. */
const running = new Map<ChildProcess, string>();
const keptOutputBytes = 4000;
/** After SIGTERM, for tests to end what they started. */
const mercyMs = 5000;
/** What it ended may take this long to be gone. */
const leftoverMs = 2000;

export async function runTestFile(run: FileRun): Promise<FileResult> {
  const { root, file, limitMs, through = [], env = {}, folderName = 'postroad-run' } = run;
  const folder = await mkdtemp(join(tmpdir(), `${folderName}-`));
  // Peers run under users of their own and must reach what is theirs below it.
  await chmod(folder, 0o711);
  const report = join(folder, 'report');
  const started = performance.now();
  const reporter = `--test-reporter=${new URL('reporter.ts', import.meta.url).href}`;
  // A group of its own, so that whatever the file leaves behind can be named by one id and nothing else is hit.
  // NODE_TEST_CONTEXT is there when a test runs us, and would make the file's own report one for that test's runner.
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const node = [process.execPath, reporter, `--test-reporter-destination=${report}`, file];
  const [command = process.execPath, ...args] = [...through, ...node];
  const child = spawn(command, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, ...env, TMPDIR: folder, NODE_COMPILE_CACHE: compileCache },
  });
  running.set(child, folder);
  const output = tail(child);
  const end = await endOf(child, limitMs, through.length === 0 ? 'Process' : 'Group');
  running.delete(child);
  const faults = [...end.faults];
  const left = await groupMembers(child.pid, leftoverMs);
  if (left.length > 0) {
    faults.push(`left processes behind: ${left.join(', ')}`);
    signalGroup(child.pid, 'SIGKILL');
  }
  const lines = await readReport(report);
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  const tests = lines.filter(line => line.type === 'test');
  if (tests.length === 0 && faults.length === 0) faults.push('no test ran');
  if (end.code !== 0 && faults.length === 0 && tests.every(({ outcome }) => outcome !== 'failed')) {
    faults.push(`ended with ${end.code} though no test failed`);
  }
  const figures = lines.flatMap(line => (line.type === 'figure' ? [line.text] : []));
  const processorSeconds = lines.find(line => line.type === 'processor')?.seconds ?? 0;
  const durationMs = performance.now() - started;
  return { file, tests, faults, figures, output: output(), durationMs, processorSeconds };
}

/** For Ctrl-C: nothing outlives the run. */
export function stopRunningFiles(): void {
  for (const [child, folder] of running) {
    signalGroup(child.pid, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** `ends`: who is told when it is late. What stands before the file's process may not pass it on. */
async function endOf(
  child: ChildProcess,
  limitMs: number,
  ends: 'Process' | 'Group',
): Promise<{ code: number | string; faults: string[] }> {
  const faults: string[] = [];
  const { promise, resolve } = Promise.withResolvers<number | string>();
  child.once('error', error => resolve(String(error)));
  // Not 'close': a process left behind may hold the pipes open for ever.
  child.once('exit', (code, signal) => resolve(code ?? signal ?? 'nothing'));
  const timers = [
    setTimeout(() => {
      faults.push(`did not end within ${limitMs / 1000} s`);
      if (ends === 'Process') child.kill('SIGTERM');
      else signalGroup(child.pid, 'SIGTERM');
    }, limitMs),
    setTimeout(() => signalGroup(child.pid, 'SIGKILL'), limitMs + mercyMs),
  ];
  const code = await promise;
  for (const timer of timers) clearTimeout(timer);
  return { code, faults };
}

function tail({ stdout, stderr }: ChildProcess): () => string {
  let kept = '';
  for (const stream of [stdout, stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      kept = (kept + chunk).slice(-keptOutputBytes);
    });
  }
  return () => kept.trim();
}

async function readReport(report: string): Promise<ReportLine[]> {
  try {
    const text = await readFile(report, 'utf8');
    // A file that was killed may leave a line cut short.
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    return lines.filter(line => line !== '').map(line => JSON.parse(line) as ReportLine);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
