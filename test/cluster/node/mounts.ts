/** What journeys mount on the volumes of a run. */
import { readFile } from 'node:fs/promises';
import { mustRun } from '../../support/processes.ts';
import { runPaths } from './layout.ts';

/** Whoever still uses them keeps what is open. */
export async function unmountVolumes(run: string): Promise<void> {
  const { volumes } = runPaths(run);
  const places = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map(line => line.split(' ')[1] ?? '');
  for (const place of places.filter(each => each.startsWith(`${volumes}/`))) await mustRun('umount', ['--lazy', place]);
}
