/** Files that are whole or not there, and that only their owner reads. */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A name may fill all of the 255 bytes that a file system allows it; nobody writes two such files of a folder at a time. */
const longestName = 240;

/** After it resolves the content survives a power cut; before, what was there does. */
export async function writeAtomically(path: string, content: string | Buffer, mode = 0o600): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `.${basename(path).slice(0, longestName)}.new`);
  // What an interrupted run left behind may have another mode.
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncFolder(folder);
}

/** Needs no room on the disk where nothing changed: a restart must not fail on a disk that is full of mail still to be delivered. */
export async function writeIfChanged(path: string, content: string, mode?: number): Promise<void> {
  if ((await readIfThere(path)) !== content) await writeAtomically(path, content, mode);
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
