/** The folder of a run, in the cache so that the next run finds what a killed one left: its folder and its cgroups, the rest the kernel ended. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot } from '../../setup/go-programs.ts';
import { cgroupsNamed, killAllIn, makeCgroups, removeCgroups } from './cgroups.ts';
import { type RunPaths, runPaths } from './layout.ts';

const prefix = 'postroad-run-';
const signingMs = 10_000;

interface Owner {
  readonly pid: number;
  /** Of the process: ids are used again. In clock ticks since the machine's boot. */
  readonly startTime: string;
}

export interface RunState {
  /** First process in the namespaces of the run. */
  readonly initPid: number;
  readonly kubeconfig: string;
  /** The working tree whose runs may join it; left out: nobody may. */
  readonly tree?: string;
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
  await writeJson(paths.owner, { pid: process.pid, startTime: await startTimeOf(process.pid) });
  for (const folder of [paths.temporary, paths.logs]) await mkdir(folder, { mode: 0o711 });
  await mkdir(paths.volumes, { mode: 0o755 });
  await makeCgroups(paths.id);
  return paths;
}

export async function removeRun(paths: RunPaths): Promise<void> {
  await killAllIn(paths.id);
  await removeCgroups(paths.id);
  for (const name of await foldersOfFiles(paths.id)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  await rm(paths.root, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** Temporary folders of test files that ran in it, which their own run could not remove when it was killed. */
export async function foldersOfFiles(id: string): Promise<readonly string[]> {
  return (await readdir(tmpdir())).filter(name => name.startsWith(`${id}-`));
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

/** Those that this process began. */
export async function runsOf(pid: number): Promise<readonly RunPaths[]> {
  const all = (await runNames()).map(name => runPaths(join(runsFolder(), name)));
  const owners = await Promise.all(all.map(({ owner }) => readJson<Owner>(owner)));
  return all.filter((_, index) => owners[index]?.pid === pid);
}

export async function tellState({ state }: RunPaths, known: RunState): Promise<void> {
  await writeJson(state, known);
}

/** What is known of it once it is up. */
export async function stateOf({ state }: RunPaths): Promise<RunState | undefined> {
  return await readJson<RunState>(state);
}

/** The run that was booted from this working tree and is up. */
export async function findRun(
  tree: string,
): Promise<{ readonly paths: RunPaths; readonly state: RunState } | undefined> {
  for (const name of await runNames()) {
    const paths = runPaths(join(runsFolder(), name));
    if (!(await isOwned(paths))) continue;
    const state = await stateOf(paths);
    if (state?.tree === tree) return { paths, state };
  }
  return undefined;
}

async function isOwned({ root, owner }: RunPaths): Promise<boolean> {
  const known = await readJson<Owner>(owner);
  if (known === undefined && (await isNew(root))) return true;
  return known !== undefined && (await startTimeOf(known.pid)) === known.startTime;
}

/** So young that its owner may not have signed yet. */
async function isNew(root: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(root)).birthtimeMs < signingMs;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

async function startTimeOf(pid: number): Promise<string | undefined> {
  const text = await readOrUndefined(`/proc/${pid}/stat`);
  // `id (name) state ...`: the start is the 22nd field, and the name may hold anything.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}

/** Others may read it at any time: they find nothing, or all of it. */
async function writeJson(file: string, value: object): Promise<void> {
  await writeFile(`${file}.new`, JSON.stringify(value));
  await rename(`${file}.new`, file);
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
