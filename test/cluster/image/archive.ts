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
const recipe = 2;
/** Of each kind these many stay, those used last, and all that were used within the hour. */
const kept = 3;
const keptMs = 3_600_000;

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

/** Layers of builds long gone are among them; past this, the next build begins with none. */
const mostLayersMegabytes = 8000;

export async function saveArchive({ buildah, run, say }: Builder, image: string, wanted: ImageArchive): Promise<void> {
  await mkdir(imagesFolder(), { recursive: true });
  const beside = `${wanted.archive}.${process.pid}.half`;
  await buildah('push', '--quiet', image, `docker-archive:${beside}:${wanted.name}`);
  await rename(beside, wanted.archive);
  await removeOld();
  const megabytes = Number.parseInt(await run('du', '-sm', join(imagesFolder(), 'storage')), 10);
  if (megabytes < mostLayersMegabytes) return;
  say(`set-up: layers of images take ${megabytes} MB: removed`);
  await buildah('rmi', '--all', '--force');
}

async function removeOld(): Promise<void> {
  const files = (await readdir(imagesFolder())).filter(file => /\.(?:tar|half)$/.test(file));
  const found = await Promise.all(
    files.map(async file => {
      const path = join(imagesFolder(), file);
      return { path, kind: file.split('-')[0], usedMs: (await stat(path)).mtimeMs };
    }),
  );
  for (const ofKind of Map.groupBy(found, ({ kind }) => kind).values()) {
    const byUse = ofKind.toSorted((one, other) => other.usedMs - one.usedMs);
    for (const { path, usedMs } of byUse.slice(kept)) if (Date.now() - usedMs > keptMs) await rm(path, { force: true });
  }
}
