/** What a server must be and do for the durability that was asked for. Pure. */
import type { Command } from '../../redis/connection.ts';
import type { MasterWord } from '../../redis/sentinels.ts';

export type Durability = 'Fsync' | 'Replicas' | 'Memory';

export interface DurabilityAsked {
  readonly durability: Durability;
  /** For Replicas. */
  readonly minReplicas: number;
  /** Another server may take over from this one (Sentinel, Cluster). */
  readonly failover: boolean;
}

/** Sections and fields of INFO, and what CONFIG GET says where the server lets us ask. */
export interface ServerFacts {
  readonly info: ReadonlyMap<string, string>;
  readonly appendFsync: string | undefined;
  /** It syncs nothing while it writes its file anew (no-appendfsync-on-rewrite). */
  readonly skipsSyncs?: boolean;
  /** In this run it was seen without an append-only file, and not yet with a whole one. */
  readonly hadNoFile?: boolean;
  readonly masterWord: MasterWord;
  /** Since its last replica was seen to be gone; Infinity where none was seen. */
  readonly aloneMs: number;
}

export const troubleReasons = {
  NotAsked: 'The server could not be asked for its settings.',
  ServerTooOld: 'The server is older than Redis 7.0.',
  NotAMaster: 'The server is a replica, or most Sentinels name another as the master.',
  EvictionPolicy: 'The server may throw away mail when its memory is full: maxmemory-policy must be noeviction.',
  AppendOnlyDisabled:
    'The server writes nothing to disk: appendonly must be yes, and its first file written once that was turned on.',
  AppendOnlyFailing: 'The server cannot write its append-only file.',
  FsyncNotEnsured:
    'The server may lose the last second: appendfsync must be always and no-appendfsync-on-rewrite no, or the server at least Redis 7.2 or Valkey.',
  ReplicaGone: 'The server has no replica now, and another may be taking over from it.',
  TooFewReplicas: 'Fewer replicas than durability asks for are connected.',
} as const;

export type TroubleReason = keyof typeof troubleReasons;

export type DurabilityVerdict =
  | {
      readonly ok: true;
      /** What waits behind the writes of a connection until they are as durable as asked; its answers must be at least `atLeast`. */
      readonly barrier: { readonly command: Command; readonly atLeast: readonly number[] } | undefined;
    }
  | { readonly ok: false; readonly reason: TroubleReason };

const barrierTimeoutMs = 3000;
/** A replica that takes over leaves its master first; until then most Sentinels know. */
const takeoverMs = 10_000;

export function judgeServer(asked: DurabilityAsked, facts: ServerFacts): DurabilityVerdict {
  const { info, masterWord, aloneMs } = facts;
  if (!isAtLeast(info, 7, 0)) return trouble('ServerTooOld');
  if (info.get('role') !== 'master' || masterWord === 'Another') return trouble('NotAMaster');
  if (asked.durability === 'Memory') return { ok: true, barrier: undefined };
  // volatile-* takes only what goes by itself anyhow: contents whose upload was broken off.
  if (info.get('maxmemory_policy')?.startsWith('allkeys') === true) return trouble('EvictionPolicy');
  if (!hasFile(facts)) return trouble('AppendOnlyDisabled');
  if (info.get('aof_last_write_status') === 'err') return trouble('AppendOnlyFailing');
  const syncsAlways = syncsEachWrite(facts);
  const canWait = isAtLeast(info, 7, 2);
  if (!syncsAlways && !canWait && asked.durability === 'Fsync') return trouble('FsyncNotEnsured');
  const connected = Number(info.get('connected_slaves') ?? 0);
  if (asked.durability === 'Replicas' && connected < asked.minReplicas) return trouble('TooFewReplicas');
  if (asked.failover && connected === 0 && (masterWord === 'Unknown' || aloneMs < takeoverMs))
    return trouble('ReplicaGone');
  return { ok: true, barrier: barrierOf(asked, { syncsAlways, canWait, connected }) };
}

/**
 * Turned on in a running server, the append-only file counts from when all that the server holds was written to it once: killed before, it comes
 * back empty, whatever it has synced since. Its very first file cannot be told from that, and passes as soon.
 */
export function hasFile({ info, hadNoFile = false }: Pick<ServerFacts, 'info' | 'hadNoFile'>): boolean {
  if (info.get('aof_enabled') !== '1') return false;
  const isWritten =
    info.get('aof_rewrite_in_progress') !== '1' &&
    info.get('aof_rewrite_scheduled') !== '1' &&
    info.get('aof_last_bgrewrite_status') !== 'err';
  return isWritten || !(hadNoFile || info.get('aof_base_size') === '0');
}

function syncsEachWrite({ appendFsync, skipsSyncs = false }: ServerFacts): boolean {
  return appendFsync === 'always' && !skipsSyncs;
}

/**
 * With `appendfsync always` an answer comes after the sync. Where another server may take over, Fsync also waits for one replica while any is
 * connected: what only the failed one had on its disk would be gone with it.
 */
function barrierOf(
  { durability, minReplicas, failover }: DurabilityAsked,
  { syncsAlways, canWait, connected }: { syncsAlways: boolean; canWait: boolean; connected: number },
): { command: Command; atLeast: number[] } | undefined {
  const replicas = durability === 'Replicas' ? minReplicas : failover ? Math.min(1, connected) : 0;
  const mustWaitForDisk = !syncsAlways && canWait;
  if (mustWaitForDisk) return { command: ['WAITAOF', 1, replicas, barrierTimeoutMs], atLeast: [1, replicas] };
  if (replicas === 0) return undefined;
  return { command: ['WAIT', replicas, barrierTimeoutMs], atLeast: [replicas] };
}

function trouble(reason: TroubleReason): DurabilityVerdict {
  return { ok: false, reason };
}

/** Valkey says the version of Redis that it answers like as `redis_version`. */
function isAtLeast(info: ReadonlyMap<string, string>, major: number, minor: number): boolean {
  const [itsMajor = 0, itsMinor = 0] = (info.get('redis_version') ?? '').split('.').map(Number);
  return itsMajor > major || (itsMajor === major && itsMinor >= minor);
}

/** `name:value` lines; sections are left out. */
export function parseInfo(text: string): Map<string, string> {
  const lines = text.split('\r\n').filter(line => line.includes(':') && !line.startsWith('#'));
  return new Map(lines.map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}
