/** Notices changes of a folder by looking: notifications miss network mounts, bind mounts and the symbolic links of a mounted ConfigMap. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../relay/clock.ts';

export interface WatchOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What the folder looked like when it was last read. */
  readonly seen: string;
  /** Says after how long to call again even without a change. Must not reject. */
  readonly onChange: () => Promise<number>;
  readonly firstRecheckMs: number;
}

const pollMs = 500;

/** Resolves when the signal is aborted. A change counts once the folder has looked the same twice: editors and `cp` write in steps. */
export async function watchFolder({
  folder,
  clock,
  signal,
  seen,
  onChange,
  firstRecheckMs,
}: WatchOptions): Promise<void> {
  let handled = seen;
  let before = seen;
  let recheckAtMs = clock.now() + firstRecheckMs;
  while (await slept(clock, signal)) {
    const now = await fingerprint(folder);
    const settled = now === before;
    before = now;
    if (!settled || (now === handled && clock.now() < recheckAtMs)) continue;
    handled = now;
    recheckAtMs = clock.now() + (await onChange());
  }
}

async function slept(clock: Clock, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(pollMs, signal);
    return !signal.aborted;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

export async function fingerprint(folder: string): Promise<string> {
  try {
    const names = (await readdir(folder)).sort();
    const parts = await Promise.all(names.map(name => describe(join(folder, name))));
    return names.map((name, index) => `${name} ${parts[index]}`).join('\n');
  } catch (error) {
    if (error instanceof Error) return `unreadable: ${error.message}`;
    throw error;
  }
}

async function describe(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    // Whatever is wrong with this one (it is gone, a link to itself, unreadable), changes of the others still count.
    if (error instanceof Error) return `unreadable: ${error.message}`;
    throw error;
  }
}
