/** The store that the configuration names. */
import { isDeepStrictEqual } from 'node:util';
import type { RedisConfig } from '../config.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { RedisCredentials, RedisOptions } from '../redis/options.ts';
import type { Secrets } from '../secrets.ts';
import type { RelayState } from '../state.ts';
import type { LaneSlots } from './lane-slots.ts';
import type { Queue } from './queue.ts';
import { type TroubleReason, troubleReasons } from './redis/durability.ts';
import type { RedisQueueOptions } from './redis/open.ts';
import { openVolumeQueue } from './sqlite/store.ts';

export interface QueueDeps {
  readonly state: () => RelayState;
  readonly dataDir: string;
  readonly onFault: (cause: Error) => void;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface OpenQueue {
  readonly queue: Queue;
  /** Of a queue that others share. */
  readonly lanes?: LaneSlots;
  /** After each change of the state: what it says of addresses, secrets and durability holds from now on. */
  reload(): void;
}

/** @throws QueueStoreError */
export async function openQueue(deps: QueueDeps): Promise<OpenQueue> {
  const { state, dataDir, onFault } = deps;
  const minFreeDiskBytes = (): number => state().config.limits.minFreeDiskBytes;
  const { queue } = state().config;
  if (queue.type === 'Redis') return await openRedis(queue.redis, deps, minFreeDiskBytes);
  return { queue: await openVolumeQueue({ dataDir, minFreeDiskBytes, onFault }), reload: () => undefined };
}

async function openRedis(first: RedisConfig, deps: QueueDeps, minFreeDiskBytes: () => number): Promise<OpenQueue> {
  const { state, dataDir } = deps;
  const config = (): RedisConfig => {
    const { queue } = state().config;
    // Another type means another queue, which is for another process.
    return queue.type === 'Redis' && queue.redis.type === first.type ? queue.redis : first;
  };
  const redis = (): RedisOptions => redisOptions(config(), state().secrets);
  // A relay with a queue of its own should not pay for a client that it never uses.
  const { openRedisQueue } = await import('./redis/open.ts');
  const opened = await openRedisQueue({
    redis,
    keyPrefix: first.keyPrefix,
    durability: config,
    dataDir,
    minFreeDiskBytes,
    onLook: troubleTeller(deps),
    onAbsent: absenceTeller(deps),
  });
  let known = redis();
  return {
    queue: opened.queue,
    lanes: opened.lanes,
    reload() {
      const now = redis();
      if (isDeepStrictEqual(now, known)) return;
      known = now;
      opened.reconnect();
    },
  };
}

export function redisOptions(
  config: RedisConfig,
  secrets: Pick<Secrets, 'redisCredentials' | 'trustAnchors'>,
): RedisOptions {
  const { type, addresses, sentinel, tls, caFile, database } = config;
  const credentialsOf = (path: string | undefined): { credentials?: RedisCredentials } => {
    const credentials = path === undefined ? undefined : secrets.redisCredentials.get(path);
    return credentials === undefined ? {} : { credentials };
  };
  const ca = caFile === undefined ? undefined : secrets.trustAnchors.get(caFile);
  return {
    type,
    addresses,
    database,
    ...credentialsOf(config.credentialsDir),
    ...(sentinel !== undefined && {
      sentinel: { masterName: sentinel.masterName, ...credentialsOf(sentinel.credentialsDir) },
    }),
    ...(tls !== 'Disabled' && { tls: { verified: tls === 'Verified', ...(ca !== undefined && { ca }) } }),
  };
}

/** What others of the queue's parts did all the same would hide it. */
function absenceTeller({ log, metrics }: QueueDeps): NonNullable<RedisQueueOptions['onAbsent']> {
  return (operation, fault) => {
    metrics.postroad_queue_errors_total.inc({ operation });
    log.error({ err: fault, operation }, 'a part of the queue does not answer; its mail waits, the others go on');
  };
}

/** Says each change in the log, and the present in a metric. */
function troubleTeller({ log, metrics }: QueueDeps): NonNullable<RedisQueueOptions['onLook']> {
  const gauge = metrics.postroad_queue_store_trouble;
  const reasons = Object.keys(troubleReasons) as TroubleReason[];
  for (const reason of reasons) gauge.set({ reason }, 0);
  const known = new Map<string, TroubleReason | undefined>();

  function say(server: string, reason: TroubleReason | undefined): void {
    if (reason === known.get(server)) return;
    known.set(server, reason);
    if (reason === undefined) log.info({ server }, 'Redis keeps mail as durability asks again');
    else log.error({ server, reason, what: troubleReasons[reason] }, 'no mail is taken: Redis would not keep it');
  }

  return servers => {
    const troubles = servers.flatMap(({ name, verdict }) =>
      verdict === undefined ? [] : [{ name, reason: verdict.ok ? undefined : verdict.reason }],
    );
    for (const { name, reason } of troubles) say(name, reason);
    for (const reason of reasons) gauge.set({ reason }, troubles.some(trouble => trouble.reason === reason) ? 1 : 0);
  };
}
