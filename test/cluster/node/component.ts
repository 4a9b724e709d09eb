/** A daemon of the cluster: its output goes to a file of its name. */
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type OwnedProcess, startProcess } from '../../support/processes.ts';

export interface Component {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Files that the process writes its id into first. */
  readonly memberships?: readonly string[];
}

export interface RunningComponent {
  readonly process: OwnedProcess;
  /** Rejects with the end of its log when it has ended. */
  check(): Promise<void>;
}

const script = 'log=$1; shift; while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@" >> "$log" 2>&1';

export async function startComponent(logs: string, component: Component): Promise<RunningComponent> {
  const { name, command, args, env = {}, memberships = [] } = component;
  await mkdir(logs, { recursive: true });
  const log = join(logs, `${name}.log`);
  await appendFile(log, '');
  const process = startProcess('/bin/sh', ['-c', script, name, log, ...memberships, '--', command, ...args], { env });
  let ended: string | undefined;
  process.exited.then(
    ({ code, signal }) => {
      ended = `${name} ended with ${signal ?? code}`;
    },
    (error: unknown) => {
      ended = String(error);
    },
  );
  return {
    process,
    async check() {
      if (ended === undefined) return;
      const text = await readFile(log, 'utf8');
      throw new Error(`${ended} ${process.errors()}\n${text.slice(-4000)}`);
    },
  };
}
