/** Processes that tests start: each is ended by its own pid, also when a test fails or Ctrl-C ends the run. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface OwnedProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  /** The last lines of standard error: what to show when it failed. */
  errors(): string;
  /** Sends `signal`, then SIGKILL when it has not ended within `limitMs`. */
  stop(signal?: NodeJS.Signals, limitMs?: number): Promise<Exit>;
}

export interface ProcessOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Each line of standard output. */
  readonly onLine?: (line: string) => void;
  readonly input?: string | Buffer;
  /** With an IPC channel to talk over. */
  readonly ipc?: boolean;
}

const owned = new Set<ChildProcess>();
const errorLinesKept = 60;
let guarded = false;

function guard(): void {
  if (guarded) return;
  guarded = true;
  process.on('exit', killOwned);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      killOwned();
      process.kill(process.pid, signal);
    });
  }
}

function killOwned(): void {
  for (const child of owned) child.kill('SIGKILL');
}

export function startProcess(
  command: string,
  args: readonly string[],
  { cwd, env = {}, onLine, input, ipc = false }: ProcessOptions = {},
): OwnedProcess {
  guard();
  const child = spawn(command, [...args], {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
    serialization: 'advanced',
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  owned.add(child);
  const exited = exitOf(command, child);
  // Whoever waits for it sees the fault; a process nobody waits for must not end the run by it.
  exited.catch(() => undefined);
  const errors: string[] = [];
  readLines(child.stderr, line => {
    errors.push(line);
    if (errors.length > errorLinesKept) errors.shift();
  });
  readLines(child.stdout, onLine ?? (() => undefined));
  child.stdin?.on('error', error => errors.push(`standard input: ${error.message}`));
  child.stdin?.end(input);
  return {
    pid: child.pid ?? -1,
    child,
    exited,
    errors: () => errors.join('\n'),
    async stop(signal = 'SIGTERM', limitMs = 10_000) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function exitOf(command: string, child: ChildProcess): Promise<Exit> {
  return new Promise<Exit>((resolve, reject) => {
    child.once('error', cause => {
      owned.delete(child);
      reject(new Error(`${command} could not be run`, { cause }));
    });
    child.once('close', (code, signal) => {
      owned.delete(child);
      resolve({ code, signal });
    });
  });
}

function readLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  if (stream !== null) createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine);
}

export interface RunResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; a command that takes longer is killed and rejects. */
export async function runProcess(
  command: string,
  args: readonly string[],
  { timeoutMs = 30_000, ...options }: Omit<ProcessOptions, 'onLine'> & { readonly timeoutMs?: number } = {},
): Promise<RunResult> {
  const lines: string[] = [];
  const running = startProcess(command, args, { ...options, onLine: line => lines.push(line) });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    running.child.kill('SIGKILL');
  }, timeoutMs);
  try {
    const exit = await running.exited;
    const result = { ...exit, stdout: lines.join('\n'), stderr: running.errors() };
    if (late) throw new Error(`${command} did not end within ${timeoutMs} ms: ${result.stdout}\n${result.stderr}`);
    return result;
  } finally {
    clearTimeout(timer);
  }
}

/** Like runProcess, and rejects when the command fails. */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: Parameters<typeof runProcess>[2] = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await runProcess(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${signal ?? code}\n${stdout}\n${stderr}`);
  return stdout;
}
