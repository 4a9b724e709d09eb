/** `<data-dir>/status`: what `kubectl get -o json` would show of each object. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { kinds } from '../../crds/kinds.ts';
import { validateNode } from '../../crds/validate.ts';
import type { PostroadObject } from '../../crds/validate-object.ts';
import { readIfThere, writeAtomically } from './files.ts';
import { parseJsonObject } from './json-object.ts';

export interface StatusFolder {
  /** As it was last written, by this run or an earlier one. */
  previous(object: PostroadObject): unknown;
  /** Writes what differs, and removes the status of objects that are gone. */
  write(statuses: ReadonlyMap<PostroadObject, unknown>): Promise<void>;
}

export async function openStatusFolder(folder: string): Promise<StatusFolder> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const texts = new Map<string, string>();
  for (const name of await readdir(folder)) {
    const text = name.endsWith('.json') ? await readIfThere(join(folder, name)) : undefined;
    if (text !== undefined) texts.set(name, text);
  }
  return {
    previous: object => statusIn(object, texts.get(fileNameOf(object))),
    async write(statuses) {
      for (const [object, status] of statuses) {
        const name = fileNameOf(object);
        const { apiVersion, kind, metadata } = object;
        const text = `${JSON.stringify({ apiVersion, kind, metadata, status }, null, 2)}\n`;
        if (texts.get(name) === text) continue;
        await writeAtomically(join(folder, name), text);
        texts.set(name, text);
      }
      const current = new Set([...statuses.keys()].map(fileNameOf));
      for (const name of [...texts.keys()].filter(one => !current.has(one))) {
        await rm(join(folder, name), { force: true });
        texts.delete(name);
      }
    },
  };
}

/** Neither a kind nor a namespace holds a dot, so that no two objects share a file. */
export function fileNameOf({ kind, metadata: { namespace, name } }: PostroadObject): string {
  return `${kind.toLowerCase()}.${namespace}.${name}.json`;
}

/** A status is only an observation: one that cannot be read, or is none by its schema, is as good as none. */
function statusIn({ kind }: PostroadObject, text: string | undefined): unknown {
  const schema = kinds.find(one => one.kind === kind)?.status;
  const status = parseJsonObject(text ?? '')?.['status'];
  return schema !== undefined && validateNode(schema, 'status', status).faults.length === 0 ? status : undefined;
}
