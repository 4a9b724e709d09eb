import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** Nothing happens when the group has ended. */
export function signalGroup(group: number | undefined, signal: NodeJS.Signals): void {
  if (group === undefined) return;
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Names and ids of the group's processes that are still alive after at most `limitMs`; empty as soon as there are none. */
export async function groupMembers(group: number | undefined, limitMs: number): Promise<string[]> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const members = (await processes()).filter(({ groupId, isZombie }) => groupId === group && !isZombie);
    if (members.length === 0 || performance.now() > deadline) return members.map(({ name, id }) => `${name} (${id})`);
    await delay(50);
  }
}

interface ProcessStatus {
  readonly id: string;
  readonly name: string;
  readonly groupId: number;
  /** Dead, but nobody has asked how it ended: as when process 1 of a container reaps no orphans. */
  readonly isZombie: boolean;
}

/** Linux only; elsewhere nothing is seen, and nothing is reported. */
async function processes(): Promise<ProcessStatus[]> {
  if (process.platform !== 'linux') return [];
  const ids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  const found = await Promise.all(ids.map(readStatus));
  return found.filter(status => status !== undefined);
}

async function readStatus(id: string): Promise<ProcessStatus | undefined> {
  try {
    // `id (name) state parent group ...`; the name may hold spaces and parentheses.
    const text = await readFile(`/proc/${id}/stat`, 'utf8');
    const end = text.lastIndexOf(')');
    const [state, , group] = text.slice(end + 2).split(' ');
    return { id, name: text.slice(text.indexOf('(') + 1, end), groupId: Number(group), isZombie: state === 'Z' };
  } catch (error) {
    // It ended between the listing and the reading.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined;
    throw error;
  }
}
