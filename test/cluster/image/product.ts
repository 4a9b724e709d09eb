/** The product's image, by its own Dockerfile. */
import { archiveOf, contentKey, hasArchive, type ImageArchive, saveArchive } from './archive.ts';
import { type Builder, withBuilder } from './builder.ts';
import { makeNodeImage } from './node-base.ts';
import { npmConfigIn } from './npm-config.ts';

const root = new URL('../../..', import.meta.url).pathname;
const madeOf = [
  'Dockerfile',
  '.dockerignore',
  'LICENSE',
  'package.json',
  'package-lock.json',
  '{crds,image,relay,operator}/**/*.ts',
];

export async function buildProductImage(say: (line: string) => void): Promise<ImageArchive> {
  const wanted = archiveOf('product', await contentKey(madeOf));
  if (await hasArchive(wanted)) return wanted;
  return await withBuilder(say, async builder => {
    if (await hasArchive(wanted)) return wanted;
    await makeNodeImage(builder);
    const name = wanted.name.replace('docker.io/library', 'localhost');
    await buildProduct(builder, name);
    await saveArchive(builder, name, wanted);
    return wanted;
  });
}

/** In the builder's storage. */
export async function buildProduct(builder: Builder, name: string, more: readonly string[] = []): Promise<void> {
  const { file, authorities } = await npmConfigIn(builder.scratch);
  const secret = ['--secret', `id=npmrc,src=${file}`];
  const trust = authorities === undefined ? [] : ['--volume', `${authorities}:${authorities}:ro`];
  await builder.build({ name, folder: root, args: [...secret, ...trust, ...more] });
}
