/** Puts the parts of a Redis queue together. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RedisOptions } from '../../redis/options.ts';
import { connectRedis } from '../../redis/servers.ts';
import type { LaneSlots } from '../lane-slots.ts';
import type { Queue } from '../queue.ts';
import { DiskGuard } from '../sqlite/disk-guard.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import { MemoryBudget, type SpoolPlace } from '../sqlite/spool.ts';
import { FolderSync } from '../sqlite/spool-file.ts';
import { spoolFolder } from '../sqlite/wire.ts';
import { Administration } from './administration.ts';
import { Claiming } from './claiming.ts';
import { inlineLimitBytes } from './content.ts';
import { Conversation } from './conversation.ts';
import type { Durability, DurabilityAsked, DurabilityVerdict } from './durability.ts';
import type { OnAbsent } from './errors.ts';
import { type Partition, partitionOf } from './keys.ts';
import { RedisLanes } from './lanes.ts';
import { Life } from './life.ts';
import { beatEveryMs, Owner } from './owner.ts';
import { readScripts, type Scripts } from './scripts.ts';
import { RedisQueue } from './store.ts';
import { Withdrawals } from './withdrawals.ts';

export interface RedisQueueOptions {
  /** Read anew for each connection. */
  readonly redis: () => RedisOptions;
  readonly keyPrefix: string;
  /** Read anew at each look at a server. `minReplicas`: for durability Replicas. */
  readonly durability: () => { readonly durability: Durability; readonly minReplicas: number };
  /** Contents that are being received wait here; nothing in it outlives the process. */
  readonly dataDir: string;
  readonly minFreeDiskBytes: () => number;
  readonly memoryBudgetBytes?: number;
  /** After each look at the servers. */
  readonly onLook?: (
    servers: readonly { readonly name: string; readonly verdict: DurabilityVerdict | undefined }[],
  ) => void;
  readonly onAbsent?: OnAbsent;
  /** How often the owner says that it lives; for tests. */
  readonly beatMs?: number;
  /** How often the servers' settings are looked at; for tests. */
  readonly lookMs?: number;
  /** For tests: time and scripts of their own. */
  readonly nowMs?: () => number;
  readonly scripts?: Scripts;
}

export interface OpenRedisQueue {
  readonly queue: Queue;
  readonly lanes: LaneSlots;
  /** New connections by what the options say now. */
  reconnect(): void;
}

const version = 1;
const clusterPartitions = 8;
const lookEveryMs = 5000;

/** Does not wait for Redis: what is asked before it is there waits as when it goes away later. */
export async function openRedisQueue(options: RedisQueueOptions): Promise<OpenRedisQueue> {
  const { redis, keyPrefix, durability, nowMs, scripts = readScripts(), onLook = () => undefined } = options;
  const place = await makePlace(options);
  const { type } = redis();
  // Where nobody knows who serves a partition, it may be that one.
  const endEras = (name: string): void => {
    for (const partition of partitions) if ((servers.nameOf(partition.slot) ?? name) === name) life.endEra(partition);
  };
  const servers = connectRedis(redis, endEras);
  const asked = (): DurabilityAsked => {
    const { durability: what, minReplicas } = durability();
    return { durability: what, minReplicas, failover: type !== 'Single' };
  };
  const count = type === 'Cluster' ? clusterPartitions : 1;
  const partitions = Array.from({ length: count }, (_, number) => partitionOf(keyPrefix, number, count));
  const conversation = new Conversation({
    servers,
    scripts,
    durability: asked,
    open: (partition, its) => makePartition(its, partition, count),
    onMoved: partition => life.endEra(partition),
    ...(nowMs === undefined ? {} : { nowMs }),
  });
  const owner = new Owner();
  const localNow = nowMs ?? (() => Date.now());
  const withdrawals = new Withdrawals(conversation);
  const absence = options.onAbsent === undefined ? {} : { onAbsent: options.onAbsent };
  const parts = { conversation, partitions, owner, nowMs: localNow, ...absence };
  const life = new Life(parts);
  const beating = setInterval(
    // What fails needs no word of its own: what else is asked meanwhile fails, too, and says so.
    () => void Promise.allSettled(partitions.flatMap(each => [life.beat(each), withdrawals.run(each)])),
    options.beatMs ?? beatEveryMs,
  ).unref();
  const looking = setInterval(
    () => void conversation.look().then(() => onLook(conversation.verdicts())),
    options.lookMs ?? lookEveryMs,
  ).unref();
  const [first, ...others] = partitions;
  if (first === undefined) throw new Error('a queue has at least one partition');
  const queue = new RedisQueue({
    ...parts,
    partitions: [first, ...others],
    claiming: new Claiming({ ...parts, life, withdrawals }),
    administration: new Administration(parts),
    life,
    withdrawals,
    place,
    stop: () => {
      clearInterval(beating);
      clearInterval(looking);
    },
  });
  const lanes = new RedisLanes(parts);
  return { queue, lanes, reconnect: () => servers.renew() };
}

async function makePlace({
  dataDir,
  minFreeDiskBytes,
  memoryBudgetBytes = 64 * 2 ** 20,
}: RedisQueueOptions): Promise<SpoolPlace> {
  const folder = join(resolve(dataDir), spoolFolder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Of a process that is gone: what it had acknowledged is in Redis.
  for (const name of await readdir(folder)) await rm(join(folder, name), { force: true });
  return {
    budget: new MemoryBudget(memoryBudgetBytes),
    guard: new DiskGuard(folder, minFreeDiskBytes),
    folder: new FolderSync(folder),
    inlineLimitBytes,
  };
}

async function makePartition(conversation: Conversation, partition: Partition, count: number): Promise<void> {
  const asked = { version, partitions: count };
  const { reply } = await conversation.ask({ partition, script: 'open', asked }, { repeatable: true });
  const [, itsVersion, itsCount] = reply.map(String);
  if (Number(itsVersion) > version)
    throw new QueueStoreError(
      'POSTROAD_QUEUE_NEWER',
      `The queue in Redis has version ${itsVersion}; this program knows ${version}.`,
    );
  if (Number(itsCount) !== count)
    throw new QueueStoreError('POSTROAD_QUEUE_CORRUPT', `The queue in Redis has ${itsCount} partitions, not ${count}.`);
}
