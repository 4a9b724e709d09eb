/** The operator's sources as the image has them: JavaScript, so that no compiler is loaded into the process (20 MiB of its memory). */
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from './processes.ts';

const root = new URL('../..', import.meta.url).pathname;
const rooms = ['crds', 'relay', 'operator'];

/** Puts them into a folder, which must be empty. */
export async function writeImageSources(folder: string): Promise<void> {
  for (const room of rooms) await cp(join(root, room), join(folder, room), { recursive: true });
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  const { code, stderr } = await runProcess(process.execPath, [join(root, 'image/strip-types.ts'), folder]);
  if (code !== 0) throw new Error(`image/strip-types.ts: ${stderr}`);
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
}
