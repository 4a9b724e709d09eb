/** Images as files in the cache, each named by all that it is made of, for a node to import. */
import { createHash } from 'node:crypto';
import { glob, mkdir, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../apiserver/setup/exists.ts';
import { type Builder, imagesFolder } from './builder.ts';

export interface ImageArchive {
  /** Path of a docker archive. */
  readonly archive: string;
  /** What pods call it. */
  readonly name: string;
}

const root = new URL('../../..', import.meta.url).pathname;
/** Of how images are built here; raise it when that changes. */
const recipe = 1;
const keptMs = 7 * 24 * 3_600_000;

/** Of the content of files, by patterns from the root of the repository. */
export async function contentKey(patterns: readonly string[]): Promise<string> {
  const files: string[] = [];
  for await (const entry of glob([...patterns], { cwd: root })) files.push(entry);
  const hash = createHash('sha256').update(String(recipe));
  for (const file of files.sort()) hash.update(`\0${file}\0`).update(await readFile(join(root, file)));
  return hash.digest('hex').slice(0, 12);
}

export function archiveOf(kind: string, key: string): ImageArchive {
  return { archive: join(imagesFolder(), `${kind}-${key}.tar`), name: `docker.io/library/postroad-${kind}:${key}` };
}

/** Whether it is there; one that is used is not swept away as old. */
export async function hasArchive({ archive }: ImageArchive): Promise<boolean> {
  if (!(await exists(archive))) return false;
  await utimes(archive, new Date(), new Date());
  return true;
}

export async function saveArchive({ buildah }: Builder, image: string, wanted: ImageArchive): Promise<void> {
  await mkdir(imagesFolder(), { recursive: true });
  const beside = `${wanted.archive}.${process.pid}.half`;
  await buildah('push', '--quiet', image, `docker-archive:${beside}:${wanted.name}`);
  await rename(beside, wanted.archive);
  await removeOld();
}

async function removeOld(): Promise<void> {
  for (const file of await readdir(imagesFolder())) {
    const path = join(imagesFolder(), file);
    if (!/\.(?:tar|half)$/.test(file)) continue;
    if (Date.now() - (await stat(path)).mtimeMs > keptMs) await rm(path, { force: true });
  }
}
