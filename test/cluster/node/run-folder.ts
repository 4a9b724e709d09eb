/** The folder of a run, in the cache so that the next run finds what a killed one left: its folder and its cgroups, the rest the kernel ended. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../../setup/go-programs.ts';
import { cgroupsNamed, killAllIn, makeCgroups, removeCgroups } from './cgroups.ts';
import { type RunPaths, runPaths } from './layout.ts';

const prefix = 'postroad-run-';

interface Owner {
  readonly pid: number;
  /** Of the process: ids are used again. In clock ticks since the machine's boot. */
  readonly startTime: string;
}

export interface RunState {
  /** First process in the namespaces of the run. */
  readonly initPid: number;
  readonly kubeconfig: string;
  /** The working tree that booted it. */
  readonly tree: string;
  /** Of the product; undefined: none was loaded. */
  readonly image: string | undefined;
}

function runsFolder(): string {
  return join(cacheRoot(), 'clusters');
}

export async function makeRunFolder(): Promise<RunPaths> {
  await mkdir(runsFolder(), { recursive: true });
  const paths = runPaths(await mkdtemp(join(runsFolder(), prefix)));
  await chmod(paths.root, 0o711);
  await writeFile(paths.owner, JSON.stringify({ pid: process.pid, startTime: await startTimeOf(process.pid) }));
  for (const folder of [paths.temporary, paths.logs]) await mkdir(folder, { mode: 0o711 });
  await mkdir(paths.volumes, { mode: 0o755 });
  await makeCgroups(paths.id);
  return paths;
}

export async function removeRun(paths: RunPaths): Promise<void> {
  await killAllIn(paths.id);
  await removeCgroups(paths.id);
  await rm(paths.root, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** Of all runs whose folders are there. */
export async function runNames(): Promise<readonly string[]> {
  await mkdir(runsFolder(), { recursive: true });
  return (await readdir(runsFolder())).filter(name => name.startsWith(prefix));
}

/** Removes what runs left that were killed. Returns their names. */
export async function removeDeadRuns(): Promise<readonly string[]> {
  const names = new Set([...(await runNames()), ...(await cgroupsNamed(prefix))]);
  const removed: string[] = [];
  for (const name of names) {
    const paths = runPaths(join(runsFolder(), name));
    if (await isOwned(paths)) continue;
    await removeRun(paths);
    removed.push(name);
  }
  return removed;
}

/** The run that was booted from this working tree and is up. */
export async function findRun(
  tree: string,
): Promise<{ readonly paths: RunPaths; readonly state: RunState } | undefined> {
  for (const name of await runNames()) {
    const paths = runPaths(join(runsFolder(), name));
    if (!(await isOwned(paths))) continue;
    const state = await readJson<RunState>(paths.state);
    if (state?.tree === tree) return { paths, state };
  }
  return undefined;
}

async function isOwned({ owner }: RunPaths): Promise<boolean> {
  const known = await readJson<Owner>(owner);
  return known !== undefined && (await startTimeOf(known.pid)) === known.startTime;
}

async function startTimeOf(pid: number): Promise<string | undefined> {
  const text = await readOrUndefined(`/proc/${pid}/stat`);
  // `id (name) state ...`: the start is the 22nd field, and the name may hold anything.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

async function readJson<T>(file: string): Promise<T | undefined> {
  const text = await readOrUndefined(file);
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

async function readOrUndefined(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined;
    throw error;
  }
}
