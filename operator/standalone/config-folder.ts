/**
 * `<data-dir>/config`: what the relay reads.
 *
 *   relay.json          names the files of one revision; replacing it is the one step that changes anything
 *   <revision>/…        laid out as Kubernetes mounts Secrets, never changed once it has its name
 *
 * A crash before the step leaves the old configuration whole, and a folder that the next run uses or removes.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readIfThere, syncFolder, writeAtomically, writeIfChanged } from './files.ts';
import type { Configuration } from './plan.ts';

export function configFileOf(configDir: string): string {
  return join(configDir, 'relay.json');
}

export async function writeConfiguration(configDir: string, { config, files }: Configuration): Promise<void> {
  await mkdir(configDir, { recursive: true, mode: 0o700 });
  const names = await readdir(configDir);
  if (!names.includes(config.revision)) await writeRevision(configDir, config, files);
  const before = await readRevision(configDir);
  await writeIfChanged(configFileOf(configDir), `${JSON.stringify(config, null, 2)}\n`);
  // The relay may still be reading the one before.
  const kept = new Set(['relay.json', config.revision, before]);
  for (const name of names) if (!kept.has(name)) await rm(join(configDir, name), { recursive: true, force: true });
}

async function writeRevision(
  configDir: string,
  { revision, clients }: Configuration['config'],
  files: Configuration['files'],
): Promise<void> {
  const fresh = join(configDir, `.${revision}.new`);
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { mode: 0o700 });
  // A Secret without keys is an empty folder, not a missing one.
  if (clients.usersDir !== undefined) await mkdir(join(fresh, 'users'), { mode: 0o700 });
  for (const [path, content] of files) await writeAtomically(join(fresh, path), content);
  for (const folder of new Set([...files.keys()].map(path => dirname(join(fresh, path))))) await syncFolder(folder);
  await rename(fresh, join(configDir, revision));
  await syncFolder(configDir);
}

async function readRevision(configDir: string): Promise<string | undefined> {
  const text = await readIfThere(configFileOf(configDir));
  return /"revision": "([0-9a-f]+)"/.exec(text ?? '')?.[1];
}
