/** Our relay as a pod has it: source without types, so that no thread loads the compiler that strips them, and the same flags for Node. */
import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { relayNodeFlags } from '../../../operator/mailrelay/desired/pod.ts';
import { mustRun } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** The second is what Node itself makes of the 512Mi that a pod has by default: a heap limit of 268 MiB, by which it collects garbage sooner. */
export const podFlags: readonly string[] = [...relayNodeFlags, '--max-old-space-size=256'];

/** Returns the folder of a copy, which is removed when this process ends. `root` needs node_modules of its own or above it. */
export async function shippedSource(root: string): Promise<string> {
  const { path } = await temporaryFolder();
  const sources = join(path, 'app');
  await mkdir(sources);
  await cp(join(root, 'relay'), join(sources, 'relay'), { recursive: true });
  await mustRun(process.execPath, [join(root, 'image', 'strip-types.ts'), sources], { timeoutMs: 60_000 });
  await cp(join(root, 'package.json'), join(sources, 'package.json'));
  await symlink(join(root, 'node_modules'), join(sources, 'node_modules'));
  return sources;
}
