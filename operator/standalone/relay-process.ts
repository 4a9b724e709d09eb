/** The relay as a child process: the same program that pods run. */
import { type ChildProcess, spawn } from 'node:child_process';
import { isRecord } from '../../crds/validate.ts';
import { parseJsonObject } from './json-object.ts';

export interface RelayProcess {
  /** What it listens on, once it takes mail; undefined when it ends before. */
  readonly ready: Promise<Ready | undefined>;
  /** How it ended, as a line for people, with the exit code. */
  readonly ended: Promise<End>;
  /** Asks it to stop; kills it when it has not after `stopMs`, or when asked again. */
  stop(): void;
}

export interface Ready {
  readonly listeners: readonly { readonly name: string; readonly address: string; readonly port: number }[];
  readonly http: { readonly address: string; readonly port: number };
}

export interface End {
  readonly code: number;
  readonly cause: string;
}

export interface RelayProcessOptions {
  readonly program: string;
  readonly configFile: string;
  readonly dataDir: string;
  readonly output: NodeJS.WritableStream;
  /** Called with each revision that it tells it runs. */
  readonly onRevision: (revision: string) => void;
}

/** The relay's own grace is 25 s, and 5 s more for closing; then nothing is in flight that its queue does not hold. */
const stopMs = 35_000;
/** Longer lines are not looked into. */
const mostLineBytes = 65_536;

export function startRelayProcess({
  program,
  configFile,
  dataDir,
  output,
  onRevision,
}: RelayProcessOptions): RelayProcess {
  const args = [program, '--config', configFile, '--data-dir', dataDir];
  // The channel lets the relay notice that this process is gone, however it went.
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const ready = Promise.withResolvers<Ready | undefined>();
  child.stdout?.pipe(output, { end: false });
  child.stdout?.on(
    'data',
    lineReader(line => {
      if (isReady(line)) ready.resolve(line);
      if (line['msg'] === 'configuration applied') onRevision(String(line['revision']));
    }),
  );
  const ended = endOf(child).then(end => {
    ready.resolve(undefined);
    return end;
  });
  let asked = false;
  let killer: NodeJS.Timeout | undefined;
  void ended.then(() => clearTimeout(killer));
  return {
    ready: ready.promise,
    ended,
    stop() {
      child.kill(asked ? 'SIGKILL' : 'SIGTERM');
      if (!asked) killer = setTimeout(() => child.kill('SIGKILL'), stopMs);
      asked = true;
    },
  };
}

function isReady(line: Record<string, unknown>): line is Record<string, unknown> & Ready {
  const { msg, listeners, http } = line;
  return msg === 'ready' && Array.isArray(listeners) && listeners.every(isAddress) && isAddress(http);
}

function isAddress(value: unknown): boolean {
  return isRecord(value) && typeof value['address'] === 'string' && typeof value['port'] === 'number';
}

function endOf(child: ChildProcess): Promise<End> {
  return new Promise(resolve => {
    child.on('error', error => resolve({ code: 1, cause: `the relay could not be started: ${error.message}` }));
    // `close`, not `exit`: its last lines are then written.
    child.on('close', (code, signal) => {
      const cause = signal === null ? `the relay ended with exit code ${code}` : `the relay was ended by ${signal}`;
      resolve({ code: code ?? 1, cause });
    });
  });
}

function lineReader(onLine: (line: Record<string, unknown>) => void): (chunk: Buffer) => void {
  let rest = '';
  return chunk => {
    const lines = `${rest}${chunk.toString('latin1')}`.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > mostLineBytes) rest = '';
    for (const line of lines) {
      const parsed =
        line.includes('"msg":"ready"') || line.includes('"msg":"configuration') ? parseJsonObject(line) : undefined;
      if (parsed !== undefined) onLine(parsed);
    }
  };
}
