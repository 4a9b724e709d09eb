/**
 * What is secret, as files in Secrets that the pods mount beside the configuration.
 *
 * A file is named by what it is and a keyed digest of its content. kubelet may show a pod a new configuration before the new
 * Secrets, or the other way round: such a mixture names a file that is not there, the relay refuses it and keeps what it has (G5).
 * A revision that a pod reports therefore means the secrets, too. Files of the configuration before stay until every pod has left it, for
 * a pod that starts in between. Many files are spread over several Secrets, since one holds at most 1 MiB.
 */
import { createHmac } from 'node:crypto';

export type Files = ReadonlyMap<string, Buffer>;

export interface FileCollector {
  /** The path in the pod. */
  put(what: string, extension: string, content: Buffer): string;
  readonly files: Files;
}

export const filesFolder = '/etc/postroad';

export function collectFiles(digestKey: string): FileCollector {
  const files = new Map<string, Buffer>();
  return {
    files,
    put(what, extension, content) {
      const digest = createHmac('sha256', digestKey).update(content).digest('hex').slice(0, 16);
      const name = `${what}-${digest}.${extension}`;
      files.set(name, content);
      return `${filesFolder}/${name}`;
    },
  };
}

/** Below the API server's 1 MiB, with room for the names. */
export const shardBytes = 900_000;
export const mostShards = 8;

export interface Placement {
  readonly wanted: Files;
  /** What the Secrets hold now. */
  readonly existing: readonly Files[];
  /** Whether files that are no longer wanted stay, where there is room. */
  readonly keepOld: boolean;
}

/** Each file stays in the Secret that it is in. `undefined`: it is all too much. */
export function placeFiles({ wanted, existing, keepOld }: Placement): Files[] | undefined {
  const shards = existing.map(old => new Map([...old].filter(([name]) => wanted.has(name))));
  const placed = new Set(shards.flatMap(shard => [...shard.keys()]));
  for (const name of [...wanted.keys()].filter(one => !placed.has(one)).sort()) {
    const content = wanted.get(name) ?? Buffer.alloc(0);
    if (!placeFile(shards, name, content)) return undefined;
  }
  if (keepOld) {
    for (const [index, old] of existing.entries()) {
      for (const [name, content] of old) putIfRoom(shards[index], name, content);
    }
  }
  while (shards.length > 1 && shards.at(-1)?.size === 0) shards.pop();
  return shards.map(shard => new Map([...shard].sort(byName)));
}

function placeFile(shards: Map<string, Buffer>[], name: string, content: Buffer): boolean {
  if (shards.some(shard => putIfRoom(shard, name, content))) return true;
  if (shards.length === mostShards) return false;
  const fresh = new Map<string, Buffer>();
  shards.push(fresh);
  return putIfRoom(fresh, name, content);
}

function putIfRoom(shard: Map<string, Buffer> | undefined, name: string, content: Buffer): boolean {
  if (shard === undefined || (!shard.has(name) && sizeOf(shard) + content.length > shardBytes)) return false;
  shard.set(name, content);
  return true;
}

function sizeOf(shard: Files): number {
  return shard.values().reduce((sum, content) => sum + content.length, 0);
}

function byName([one]: [string, Buffer], [other]: [string, Buffer]): number {
  return one < other ? -1 : 1;
}

/** 1, 2, 4 or 8: the number is part of the pods, so that a change restarts them. It never shrinks. */
export function shardCount(needed: number, mounted: number): number {
  return [1, 2, 4, mostShards].find(count => count >= Math.max(needed, mounted)) ?? mostShards;
}
