/** The Redis of an audit, by topology, and what can happen to it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RelayConfigInput } from '../../relay/config.ts';
import { partitionOf } from '../../relay/queue/redis/keys.ts';
import {
  beginMove,
  durable,
  queueIn,
  type RedisCluster,
  type RedisPeer,
  type RedisWithSentinels,
  silenceMs,
  startCluster,
  startRedis,
  startSentinels,
} from '../support/redis.ts';
import { waitUntil } from '../support/wait-until.ts';

export const topologies = ['single', 'sentinel', 'cluster'] as const;
export type Topology = (typeof topologies)[number];

export type RedisFaultKind = 'Redis killed' | 'master killed' | 'replica killed' | 'slot moved';

export interface RedisWorld extends AsyncDisposable {
  readonly queue: RelayConfigInput['queue'];
  /**
   * Does it; `back` is called when Redis answers again, and the promise resolves when all is as before, so that another fault of it is not two at a
   * time.
   */
  strike(random: () => number, back: (kind: RedisFaultKind) => void): Promise<RedisFaultKind>;
  /** Keys that do not go by themselves. */
  keysThatStay(): Promise<string[]>;
  /**
   * Takeovers that were no strike: a master on a busy disk is silent for longer than its Sentinels allow. From its last sign of life until relays
   * have looked who is the master; what was settled with it meanwhile the other may not know.
   */
  unaskedTakeovers(): readonly { readonly fromMs: number; readonly toMs: number }[];
}

const keyPrefix = 'audit:';
const partitions = 8;
const longestDownMs = 500;
const failoverLimitMs = 60_000;
const keysAtOnce = 500;
/** Relays look at a server's replicas every five seconds, and until then do not wait for one that is back. */
const lookedAtMs = 6000;

/** As servers are run: the append-only file is rewritten while mail flows, and is not long to read again. */
const rewriting = { ...durable, 'auto-aof-rewrite-percentage': '100' };

export async function startRedisWorld(topology: Topology, folder: string): Promise<RedisWorld> {
  if (topology === 'sentinel') return new SentinelWorld(await startSentinels(folder));
  if (topology === 'cluster') return new ClusterWorld(await startCluster(folder, { settings: rewriting }));
  return new SingleWorld(await startRedis(folder, { settings: rewriting }));
}

class SingleWorld implements RedisWorld {
  readonly #redis: RedisPeer;
  readonly queue: RelayConfigInput['queue'];

  constructor(redis: RedisPeer) {
    this.#redis = redis;
    this.queue = queueIn(redis, keyPrefix);
  }

  async strike(random: () => number, back: (kind: RedisFaultKind) => void): Promise<RedisFaultKind> {
    await killAndStart(this.#redis, random);
    back('Redis killed');
    return 'Redis killed';
  }

  keysThatStay(): Promise<string[]> {
    return keysIn([this.#redis]);
  }

  unaskedTakeovers(): [] {
    return [];
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#redis[Symbol.asyncDispose]();
  }
}

class SentinelWorld implements RedisWorld {
  readonly #redis: RedisWithSentinels;
  readonly #strikes: { readonly fromMs: number; readonly toMs: number }[] = [];
  readonly queue: RelayConfigInput['queue'];

  constructor(redis: RedisWithSentinels) {
    this.#redis = redis;
    const addresses = redis.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }));
    const { masterName } = redis;
    const common = { tls: 'Disabled', keyPrefix, durability: 'Fsync' } as const;
    this.queue = { type: 'Redis', redis: { ...common, type: 'Sentinel', addresses, sentinel: { masterName } } };
  }

  async strike(random: () => number, back: (kind: RedisFaultKind) => void): Promise<RedisFaultKind> {
    const fromMs = Date.now();
    const { master, replica } = await this.#roles();
    const kind = random() < 0.7 ? 'master killed' : 'replica killed';
    if (kind === 'master killed') {
      await master.kill();
      await waitUntil('the replica has taken over', () => this.#isMaster(replica), { limitMs: failoverLimitMs });
      back(kind);
      await master.start();
    } else {
      await killAndStart(replica, random);
      back(kind);
    }
    await waitUntil('a replica follows', () => this.#isWhole(), { limitMs: failoverLimitMs });
    this.#strikes.push({ fromMs, toMs: Date.now() });
    await delay(lookedAtMs);
    return kind;
  }

  async keysThatStay(): Promise<string[]> {
    return await keysIn([(await this.#roles()).master]);
  }

  unaskedTakeovers(): { fromMs: number; toMs: number }[] {
    const isAsked = (timeMs: number): boolean =>
      this.#strikes.some(({ fromMs, toMs }) => timeMs >= fromMs && timeMs <= toMs);
    const unasked = this.#redis.takeovers.filter(({ timeMs }) => !isAsked(timeMs));
    return unasked.map(({ silentMs, timeMs }) => ({ fromMs: silentMs - silenceMs, toMs: timeMs + lookedAtMs }));
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#redis[Symbol.asyncDispose]();
  }

  async #roles(): Promise<{ master: RedisPeer; replica: RedisPeer }> {
    const [first, second] = this.#redis.servers;
    if (first === undefined || second === undefined) throw new Error('there are not two servers');
    return (await this.#isMaster(first)) ? { master: first, replica: second } : { master: second, replica: first };
  }

  /** By most of the Sentinels, and by itself. */
  async #isMaster({ port, ask }: RedisPeer): Promise<boolean> {
    const { sentinels, masterName } = this.#redis;
    const said = await Promise.all(
      sentinels.map(sentinel => sentinel.ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName)),
    );
    const sayIt = said.filter(address => address.endsWith(`\n${port}`)).length;
    return sayIt * 2 > sentinels.length && (await ask('ROLE')).startsWith('master');
  }

  async #isWhole(): Promise<boolean> {
    const said = await Promise.all(this.#redis.servers.map(server => server.ask('INFO', 'replication')));
    return (
      said.some(info => info.includes('master_link_status:up')) && said.some(info => info.includes('state=online'))
    );
  }
}

class ClusterWorld implements RedisWorld {
  readonly #redis: RedisCluster;
  readonly queue: RelayConfigInput['queue'];

  constructor(redis: RedisCluster) {
    this.#redis = redis;
    const addresses = redis.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
    const common = { tls: 'Disabled', keyPrefix, durability: 'Fsync' } as const;
    this.queue = { type: 'Redis', redis: { ...common, type: 'Cluster', addresses } };
  }

  async strike(random: () => number, back: (kind: RedisFaultKind) => void): Promise<RedisFaultKind> {
    const kind = random() < 0.6 ? 'slot moved' : 'Redis killed';
    if (kind === 'slot moved') await this.#move(Math.floor(random() * partitions));
    else await this.#kill(random);
    back(kind);
    return kind;
  }

  keysThatStay(): Promise<string[]> {
    return keysIn(this.#redis.nodes);
  }

  unaskedTakeovers(): [] {
    return [];
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#redis[Symbol.asyncDispose]();
  }

  async #kill(random: () => number): Promise<void> {
    const { nodes } = this.#redis;
    const node = nodes[Math.floor(random() * nodes.length)];
    if (node === undefined) throw new Error('no node');
    await killAndStart(node, random);
    await waitUntil('the cluster is whole', async () =>
      (await node.ask('CLUSTER', 'INFO')).includes('cluster_state:ok'),
    );
  }

  /** While mail flows: what is asked of the partition meanwhile waits, so that nothing is added at the old node. */
  async #move(number: number): Promise<void> {
    const { slot } = partitionOf(keyPrefix, number, partitions);
    const move = await beginMove(this.#redis, slot);
    for (let keys = await move.keys(); keys.length > 0; keys = await move.keys())
      await move.some(keys.slice(0, keysAtOnce));
    await move.end();
  }
}

async function killAndStart(redis: RedisPeer, random: () => number): Promise<void> {
  await redis.kill();
  await delay(random() * longestDownMs);
  await redis.start();
}

/** One question for all: to ask for each key of thousands takes minutes, and most are gone by then. */
const stayingKeys = `
local stay = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  if redis.call('PTTL', key) == -1 then stay[#stay + 1] = key end
end
return stay`;

async function keysIn(servers: readonly RedisPeer[]): Promise<string[]> {
  const said = await Promise.all(servers.map(server => server.ask('EVAL', stayingKeys, '0', `${keyPrefix}*`)));
  return said.flatMap(keys => keys.split('\n')).filter(key => key.trim() !== '');
}
