/** The cgroup of a run, in every hierarchy of this machine (one with cgroup v2). All that its node runs in containers is below it. */
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { waitUntil } from '../../support/wait-until.ts';

/** Of containerd and its shims. */
export const runtimeCgroup = 'runtime';

export async function makeCgroups(id: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    await mkdir(join(hierarchy, id, runtimeCgroup), { recursive: true });
    await weigh(join(hierarchy, id));
  }
}

/** As on a machine of its own: else all of a node's pods together get as much of busy processors as one process beside them does. */
async function weigh(folder: string): Promise<void> {
  const cores = availableParallelism();
  const weights = { 'cpu.shares': 1024 * cores, 'cpu.weight': Math.min(100 * cores, 10_000) };
  for (const [file, weight] of Object.entries(weights)) {
    // Each is in one hierarchy at most.
    if ((await readdir(folder)).includes(file)) await writeFile(join(folder, file), String(weight));
  }
}

/** Files that a process writes its own id into to be there. */
export async function membershipFiles(id: string): Promise<readonly string[]> {
  return (await hierarchies()).map(hierarchy => join(hierarchy, id, runtimeCgroup, 'cgroup.procs'));
}

/** As this process's namespace knows them. */
export async function processesIn(id: string): Promise<readonly number[]> {
  const ids = new Set<number>();
  for (const hierarchy of await hierarchies()) {
    for (const folder of await foldersBelow(join(hierarchy, id))) {
      const text = await readOrNothing(join(folder, 'cgroup.procs'));
      for (const line of text.split('\n').filter(each => each !== '' && each !== '0')) ids.add(Number(line));
    }
  }
  return [...ids];
}

/** By SIGKILL, until there are none. */
export async function killAllIn(id: string): Promise<void> {
  await waitUntil(
    `no process in the cgroup ${id}`,
    async () => {
      const ids = await processesIn(id);
      for (const each of ids) killProcess(each);
      return ids.length === 0;
    },
    { limitMs: 20_000, everyMs: 50 },
  );
}

export async function removeCgroups(id: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const folders = await foldersBelow(join(hierarchy, id));
    for (const folder of folders.toReversed()) {
      // The kernel counts a process that has just died for a moment still.
      await waitUntil(`the cgroup ${folder} to be removable`, () => removed(folder), { limitMs: 10_000 });
    }
  }
}

/** Names of the cgroups that begin so. */
export async function cgroupsNamed(prefix: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const hierarchy of await hierarchies()) {
    for (const name of await readdir(hierarchy)) if (name.startsWith(prefix)) found.add(name);
  }
  return found;
}

async function hierarchies(): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map(line => line.split(' - '));
  return lines
    .filter(([, kind = '']) => /^cgroup2? /.test(kind))
    .map(([place = '']) => place.split(' ')[4] ?? '')
    .filter(place => place.startsWith('/sys/fs/cgroup'));
}

/** Each before those in it. */
async function foldersBelow(folder: string): Promise<string[]> {
  const names = await namesIn(folder);
  if (names === undefined) return [];
  const below: string[] = [];
  for (const name of names) below.push(...(await foldersBelow(join(folder, name))));
  return [folder, ...below];
}

/** Undefined: it is not there, or no more. */
async function namesIn(folder: string): Promise<readonly string[] | undefined> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter(entry => entry.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** At once; nothing happens when it has ended. */
export function killProcess(id: number): void {
  try {
    process.kill(id, 'SIGKILL');
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

async function removed(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    if (codeOf(error) === 'EBUSY') return false;
    throw error;
  }
}

async function readOrNothing(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    // A container's cgroup goes with it.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENODEV') return '';
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
