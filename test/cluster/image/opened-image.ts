/** An image as a node would have it: what its archive says of it, and its root file system in a folder. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

export interface ImageConfig {
  readonly config: {
    readonly User?: string;
    readonly Env?: readonly string[];
    readonly Entrypoint?: readonly string[];
    readonly Cmd?: readonly string[];
    readonly Labels?: Readonly<Record<string, string>>;
  };
  readonly history: readonly { readonly created_by?: string }[];
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

export interface OpenedImage extends AsyncDisposable {
  /** Digest of its configuration, which has those of its layers. */
  readonly id: string;
  readonly config: ImageConfig;
  readonly root: string;
}

interface Manifest {
  readonly Config: string;
  readonly Layers: readonly string[];
}

export async function openImage(archive: string): Promise<OpenedImage> {
  const folder = await temporaryFolder();
  const [packed, root] = [join(folder.path, 'packed'), join(folder.path, 'root')];
  await mkdir(packed);
  await mkdir(root, { mode: 0o755 });
  await mustRun('tar', ['-xf', archive, '-C', packed], { timeoutMs: 120_000 });
  const [manifest] = JSON.parse(await readFile(join(packed, 'manifest.json'), 'utf8')) as readonly Manifest[];
  if (manifest === undefined) throw new Error(`${archive} has no image`);
  const options = ['--numeric-owner', '--same-owner', '--preserve-permissions', '-C', root];
  for (const layer of manifest.Layers)
    await mustRun('tar', [...options, '-xf', join(packed, layer)], { timeoutMs: 120_000 });
  const config = JSON.parse(await readFile(join(packed, manifest.Config), 'utf8')) as ImageConfig;
  await rm(packed, { recursive: true });
  return {
    id: manifest.Config.replace(/\.json$/, ''),
    config,
    root,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
