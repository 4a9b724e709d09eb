/**
 * Boots a cluster in namespaces of its own. All of it descends from one process, and dies with it: pods, mounts, links and rules are the
 * kernel's to remove then, also when this process is killed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { killProcess } from './cgroups.ts';
import type { RunPaths } from './layout.ts';
import { namespaces } from './machine.ts';
import { makeRunFolder, type RunState, removeRun, tellState } from './run-folder.ts';

export interface BootedCluster extends AsyncDisposable {
  readonly paths: RunPaths;
  readonly state: RunState;
  /** Resolves when it has ended, however. */
  readonly ended: Promise<string>;
  /** At once and without waiting: for a process that is about to end. */
  kill(): void;
}

interface Boot {
  /** The working tree whose runs may join it. */
  readonly tree?: string;
  readonly archives: readonly string[];
  readonly image: string | undefined;
  readonly say: (line: string) => void;
  /** Ends it, also half-way through its boot. */
  readonly signal?: AbortSignal;
}

const isolate = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--uts', '--ipc'];

export async function bootCluster({ tree, archives, image, say, signal }: Boot): Promise<BootedCluster> {
  const paths = await makeRunFolder();
  // The shell is the first process of its namespace, where orphans end up: it reaps them while it waits.
  const shell = ['/bin/sh', '-c', '"$@"; exit $?', 'cluster', process.execPath];
  const main = new URL('main.ts', import.meta.url).pathname;
  const command = ['--pdeathsig', 'KILL', 'unshare', ...isolate, ...shell, main, paths.root];
  const child = spawn('setpriv', [...command, (await namespaces()).join(','), ...archives], {
    cwd: new URL('../../..', import.meta.url).pathname,
    // Out of the terminal's group: Ctrl-C is for the run to handle.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: paths.temporary },
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-8000);
  });
  const ended = once(child, 'close').then(([code, signal]) => `the cluster ended with ${signal ?? code}\n${errors}`);
  let removed: Promise<void> | undefined;
  async function end(): Promise<void> {
    // Of its namespace the first process is the last to be gone: whoever waits for it has waited for all.
    const first = await firstChild(child.pid);
    if (first === undefined) child.kill('SIGKILL');
    else killProcess(first);
    await ended;
    await removeRun(paths);
  }
  const dispose = async (): Promise<void> => {
    // Ctrl-C and the end of a run may come together.
    removed ??= end();
    await removed;
  };
  // Whoever waits for the boot hears of it.
  signal?.addEventListener('abort', () => void dispose().catch(() => undefined));
  try {
    const kubeconfig = await whenReady(child.stdout, ended, say);
    const initPid = await firstChild(child.pid);
    if (initPid === undefined) throw new Error('the cluster ended as it was ready');
    const state: RunState = { initPid, kubeconfig, image, ...(tree !== undefined && { tree }) };
    await tellState(paths, state);
    return { paths, state, ended, kill: () => void child.kill('SIGKILL'), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function whenReady(
  output: NodeJS.ReadableStream,
  ended: Promise<string>,
  say: (line: string) => void,
): Promise<string> {
  const lines = createInterface({ input: output });
  const ready = new Promise<string>(resolve => {
    lines.on('line', line => {
      const [, kubeconfig] = /^ready (.*)$/.exec(line) ?? [];
      if (kubeconfig === undefined) say(line);
      else resolve(kubeconfig);
    });
  });
  return await Promise.race([
    ready,
    ended.then(reason => {
      throw new Error(reason);
    }),
  ]);
}

async function firstChild(pid: number | undefined): Promise<number | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text === '' ? undefined : Number(text.split(' ')[0]);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined;
    throw error;
  }
}

/** The command to put before another that shall run in the cluster's namespaces, in the folder that it is started in. */
export function joinCommand({ initPid }: RunState, folder: string): readonly string[] {
  return ['nsenter', '-t', String(initPid), '-n', '-m', '-p', '-u', '-i', `--wdns=${folder}`];
}
