/** The projected files of a pod: read as kubelet reads them, and laid out as kubelet lays them out. */
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeClient } from '../../../operator/kube/client.ts';
import { type KubeObject, pathOf, type Resource } from '../../../operator/kube/object.ts';
import { type Pod, type ProjectedSource, persist } from './api.ts';

export type PodFiles = ReadonlyMap<string, Buffer>;

const configMaps: Resource = { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps', isNamespaced: true };
const secrets: Resource = { apiVersion: 'v1', kind: 'Secret', plural: 'secrets', isNamespaced: true };

interface WithData extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** Undefined: one of the objects is not there, and kubelet would wait for it. */
export async function readPodFiles(client: KubeClient, pod: Pod, signal: AbortSignal): Promise<PodFiles | undefined> {
  const sources = (pod.spec.volumes ?? []).flatMap(({ projected }) => projected?.sources ?? []);
  const parts = await Promise.all(sources.map(source => readSource(client, pod, source, signal)));
  const there = parts.filter(part => part !== undefined);
  return there.length < parts.length ? undefined : new Map(there.flat());
}

async function readSource(
  client: KubeClient,
  { metadata: { namespace } }: Pod,
  { configMap, secret }: ProjectedSource,
  signal: AbortSignal,
): Promise<[string, Buffer][] | undefined> {
  const projection = configMap ?? secret;
  if (projection === undefined) return [];
  const resource = configMap === undefined ? secrets : configMaps;
  const path = pathOf(resource, { namespace, name: projection.name });
  const object = await persist<WithData>(client, { method: 'GET', path, signal });
  if (object === undefined) return undefined;
  const encoding = configMap === undefined ? 'base64' : 'utf8';
  const data = object.data ?? {};
  const items = projection.items ?? Object.keys(data).map(key => ({ key, path: key }));
  if (items.some(({ key }) => data[key] === undefined)) return undefined;
  return items.map(item => [item.path, Buffer.from(data[item.key] ?? '', encoding)]);
}

/**
 * A folder as a projected volume is one: each file is a link through `..data` to a folder that is never changed, and `..data` is replaced in
 * one step, so that whoever opens files sees all of a change or nothing of it.
 */
export class ProjectedFolder {
  readonly path: string;
  #written = 0;
  #shown: PodFiles | undefined;

  constructor(path: string) {
    this.path = path;
  }

  async show(files: PodFiles): Promise<void> {
    if (this.#shown !== undefined && isSame(this.#shown, files)) return;
    await mkdir(this.path, { recursive: true });
    const fresh = `..files-${++this.#written}`;
    await mkdir(join(this.path, fresh));
    for (const [name, content] of files) await writeFile(join(this.path, fresh, name), content, { mode: 0o440 });
    await symlink(fresh, join(this.path, '..data_tmp'));
    await rename(join(this.path, '..data_tmp'), join(this.path, '..data'));
    const there = new Set(await readdir(this.path));
    for (const name of files.keys()) {
      if (!there.has(name)) await symlink(join('..data', name), join(this.path, name));
    }
    for (const name of there) {
      const isOld = name.startsWith('..') ? name !== '..data' && name !== fresh : !files.has(name);
      if (isOld) await rm(join(this.path, name), { recursive: true });
    }
    this.#shown = files;
  }
}

function isSame(one: PodFiles, other: PodFiles): boolean {
  return one.size === other.size && [...one].every(([name, content]) => other.get(name)?.equals(content) === true);
}
