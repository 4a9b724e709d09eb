import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DurabilityAsked, judgeServer, type ServerFacts } from '../../../relay/queue/redis/durability.ts';

const good = {
  redis_version: '7.2.4',
  role: 'master',
  connected_slaves: '1',
  maxmemory_policy: 'noeviction',
  aof_enabled: '1',
  aof_last_write_status: 'ok',
  aof_rewrite_in_progress: '0',
  aof_rewrite_scheduled: '0',
  aof_last_bgrewrite_status: 'ok',
  aof_base_size: '88',
};
const fsync: DurabilityAsked = { durability: 'Fsync', minReplicas: 0, failover: false };

const known = { masterWord: 'ThisOne', aloneMs: Number.POSITIVE_INFINITY } as const;

function verdict(asked: Partial<DurabilityAsked>, facts: Partial<typeof good>, appendFsync?: string): unknown {
  return judged(asked, facts, { ...known, appendFsync });
}

function judged(
  asked: Partial<DurabilityAsked>,
  facts: Partial<typeof good>,
  rest: Omit<ServerFacts, 'info'>,
): unknown {
  const info = new Map(Object.entries({ ...good, ...facts }));
  const judged = judgeServer({ ...fsync, ...asked }, { info, ...rest });
  return judged.ok ? (judged.barrier?.command ?? 'no barrier') : judged.reason;
}

const old = { redis_version: '7.0.15' };
const replicas = { durability: 'Replicas', minReplicas: 2 } as const;
const alone = (rest: Partial<ServerFacts>): unknown =>
  judged({ failover: true }, { ...old, connected_slaves: '0' }, { ...known, appendFsync: 'always', ...rest });
const rewrites = { ...old, aof_rewrite_in_progress: '1' };
const always = { ...known, appendFsync: 'always' };
const table: readonly (readonly [what: string, is: unknown, expected: unknown])[] = [
  ['synced before each answer', verdict({}, old, 'always'), 'no barrier'],
  ['synced each second, and able to say when', verdict({}, {}, 'everysec'), ['WAITAOF', 1, 0, 3000]],
  ['synced each second, and too old to say when', verdict({}, old, 'everysec'), 'FsyncNotEnsured'],
  ['with a hidden configuration, and able to say when', verdict({}, {}, undefined), ['WAITAOF', 1, 0, 3000]],
  ['with a hidden configuration, and too old to say when', verdict({}, old, undefined), 'FsyncNotEnsured'],
  ['with one that may take over', verdict({ failover: true }, old, 'always'), ['WAIT', 1, 3000]],
  [
    'with one that may take over and is away',
    verdict({ failover: true }, { ...old, connected_slaves: '0' }, 'always'),
    'no barrier',
  ],
  ['whose last replica is gone for a moment', alone({ aloneMs: 9999 }), 'ReplicaGone'],
  ['whose last replica is gone for long', alone({ aloneMs: 10_000 }), 'no barrier'],
  [
    'without a replica, of which too few Sentinels say that it is the master',
    alone({ masterWord: 'Unknown' }),
    'ReplicaGone',
  ],
  ['in whose place most Sentinels name another', alone({ masterWord: 'Another' }), 'NotAMaster'],
  [
    'with one that may take over, synced each second',
    verdict({ failover: true }, {}, 'everysec'),
    ['WAITAOF', 1, 1, 3000],
  ],
  ['with too few replicas', verdict(replicas, {}, 'always'), 'TooFewReplicas'],
  ['with enough replicas', verdict(replicas, { connected_slaves: '3' }, 'always'), ['WAIT', 2, 3000]],
  ['that writes nothing', verdict({}, { aof_enabled: '0' }, 'always'), 'AppendOnlyDisabled'],
  ['that writes its file anew', judged({}, rewrites, always), 'no barrier'],
  ['that writes its first file', judged({}, { ...rewrites, aof_base_size: '0' }, always), 'AppendOnlyDisabled'],
  ['that had no file a moment ago', judged({}, rewrites, { ...always, hadNoFile: true }), 'AppendOnlyDisabled'],
  [
    'that had no file, and failed to write one',
    judged({}, { ...old, aof_last_bgrewrite_status: 'err' }, { ...always, hadNoFile: true }),
    'AppendOnlyDisabled',
  ],
  ['that had no file, and has one now', judged({}, old, { ...always, hadNoFile: true }), 'no barrier'],
  ['that syncs not while it rewrites', judged({}, old, { ...always, skipsSyncs: true }), 'FsyncNotEnsured'],
  [
    'that syncs not while it rewrites, and able to say when',
    judged({}, {}, { ...always, skipsSyncs: true }),
    ['WAITAOF', 1, 0, 3000],
  ],
  ['that can write no more', verdict({}, { aof_last_write_status: 'err' }, 'always'), 'AppendOnlyFailing'],
  ['that evicts any key', verdict({}, { maxmemory_policy: 'allkeys-lru' }, 'always'), 'EvictionPolicy'],
  ['that evicts what goes by itself', verdict({}, { maxmemory_policy: 'volatile-lru' }, 'always'), 'no barrier'],
  ['that is a replica', verdict({}, { role: 'slave' }, 'always'), 'NotAMaster'],
  ['that is too old', verdict({}, { redis_version: '6.2.9' }, 'always'), 'ServerTooOld'],
  [
    'that evicts and writes nothing, where only memory was asked for',
    verdict({ durability: 'Memory' }, { aof_enabled: '0', maxmemory_policy: 'allkeys-lru' }),
    'no barrier',
  ],
];

for (const [what, is, expected] of table) {
  test(`a server ${what} is judged as it should be`, () => assert.deepEqual(is, expected));
}
