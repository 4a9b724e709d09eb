/** What processes cost, read from Linux's /proc: processor time and memory of a process with all its descendants. */
import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
const pageBytes = Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' }));

interface Member {
  readonly pid: number;
  readonly parent: number;
  /** With that of its children which have ended and been waited for. */
  readonly cpuSeconds: number;
}

export interface Memory {
  readonly rssBytes: number;
  readonly pssBytes: number;
}

/** The process and its descendants that are alive. */
async function treeOf(root: number): Promise<Member[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number);
  const all = (await Promise.all(pids.map(readMember))).filter(member => member !== undefined);
  const children = Map.groupBy(all, ({ parent }) => parent);
  const tree = all.filter(({ pid }) => pid === root);
  for (const member of tree) tree.push(...(children.get(member.pid) ?? []));
  return tree;
}

async function readMember(pid: number): Promise<Member | undefined> {
  const text = await readIfThere(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // `pid (name) state parent ...`; the name may hold spaces and parentheses. proc(5) counts from 1: utime is field 14.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return { pid, parent: Number(fields[1]), cpuSeconds: ticks / ticksPerSecond };
}

/** Of several trees together; a tree's ended members count through the parent that waited for them. */
export async function cpuSecondsOf(roots: readonly number[]): Promise<number> {
  const trees = await Promise.all(roots.map(treeOf));
  return trees.flat().reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

export async function processesOf(roots: readonly number[]): Promise<number> {
  return (await Promise.all(roots.map(treeOf))).flat().length;
}

export async function memoryOf(roots: readonly number[]): Promise<Memory> {
  const pids = (await Promise.all(roots.map(treeOf))).flat().map(({ pid }) => pid);
  const parts = await Promise.all(pids.map(memoryOfOne));
  return parts.reduce(
    (sum, part) => ({ rssBytes: sum.rssBytes + part.rssBytes, pssBytes: sum.pssBytes + part.pssBytes }),
    { rssBytes: 0, pssBytes: 0 },
  );
}

async function memoryOfOne(pid: number): Promise<Memory> {
  const [pages, rollup] = await Promise.all([
    readIfThere(`/proc/${pid}/statm`),
    readIfThere(`/proc/${pid}/smaps_rollup`),
  ]);
  const pssKilobytes = /^Pss:\s+(\d+) kB$/m.exec(rollup ?? '')?.[1] ?? 0;
  return {
    rssBytes: Number(pages?.split(' ')[1] ?? 0) * pageBytes,
    pssBytes: Number(pssKilobytes) * 1024,
  };
}

/** Processor time of a process's threads, by their name: those of one name are one kind. */
export async function threadCpuSeconds(pid: number): Promise<ReadonlyMap<string, number>> {
  const sums = new Map<string, number>();
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const text = await readIfThere(`/proc/${pid}/task/${thread}/stat`);
    if (text === undefined) continue;
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    sums.set(name, (sums.get(name) ?? 0) + (Number(fields[11]) + Number(fields[12])) / ticksPerSecond);
  }
  return sums;
}

/** Processor time that the whole machine has spent on anything. */
export async function machineCpuSeconds(): Promise<number> {
  const [, , user, nice, system, , , irq, softirq] =
    (await readFile('/proc/stat', 'utf8')).split('\n', 1)[0]?.split(/ /) ?? [];
  return [user, nice, system, irq, softirq].reduce((sum, ticks) => sum + Number(ticks), 0) / ticksPerSecond;
}

/** Undefined when the process has ended. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined;
    throw error;
  }
}
