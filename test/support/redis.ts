/** Real Redis and Valkey servers of a test's own: in a temporary folder, on ports of loopback, ended by their pids. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RelayConfigInput } from '../../relay/config.ts';
import { freePort } from './free-port.ts';
import { type OwnedProcess, runProcess, startProcess } from './processes.ts';
import { waitUntil } from './wait-until.ts';

export type Settings = Readonly<Record<string, string>>;

export interface RedisPeer extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  /** What redis-cli says. */
  ask(...words: readonly string[]): Promise<string>;
  /** kill -9; the data stays. */
  kill(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** On the same port with the same data. */
  start(): Promise<void>;
}

/** On a machine that others keep busy, with a long append-only file to read. */
const startLimitMs = 120_000;

/** A server that keeps what it acknowledges: append-only file, synced at each write. */
export const durable: Settings = { appendonly: 'yes', appendfsync: 'always', 'auto-aof-rewrite-percentage': '0' };

/** For a relay's configuration: its queue in that server. */
export function queueIn({ port }: Pick<RedisPeer, 'port'>, keyPrefix: string): RelayConfigInput['queue'] {
  const addresses = [{ host: '127.0.0.1', port }];
  return { type: 'Redis', redis: { type: 'Single', addresses, tls: 'Disabled', keyPrefix, durability: 'Fsync' } };
}

export interface RedisPeerOptions {
  readonly settings?: Settings;
  readonly program?: string;
  readonly args?: readonly string[];
  readonly port?: number;
  /** Its port speaks TLS only; the settings say with which certificate. */
  readonly tls?: boolean;
  /** For redis-cli. */
  readonly cliArgs?: readonly string[];
  /** Its log, line by line. */
  readonly onLine?: (line: string) => void;
}

export async function startRedis(folder: string, options: RedisPeerOptions = {}): Promise<RedisPeer> {
  const { settings = durable, program = 'redis-server', args = [], cliArgs = [], tls = false, onLine } = options;
  const port = options.port ?? (await freePort());
  const directory = join(folder, `redis-${port}`);
  await mkdir(directory, { recursive: true });
  const all: Settings = {
    port: tls ? '0' : String(port),
    ...(tls ? { 'tls-port': String(port) } : {}),
    bind: '127.0.0.1',
    dir: directory,
    save: '',
    'protected-mode': 'no',
    ...settings,
  };
  const file = join(directory, 'redis.conf');
  const lines = Object.entries(all).map(([name, value]) => `${name} ${value === '' ? '""' : value}`);
  await writeFile(file, `${lines.join('\n')}\n`);
  let running: OwnedProcess | undefined;

  async function ask(...words: readonly string[]): Promise<string> {
    const { stdout, stderr } = await runProcess('redis-cli', ['-p', String(port), ...cliArgs, ...words], {
      timeoutMs: 10_000,
    });
    return `${stdout}${stderr}`.trim();
  }

  async function start(): Promise<void> {
    const server = startProcess(program, [file, ...args], onLine === undefined ? {} : { onLine });
    running = server;
    await waitUntil(
      `Redis on port ${port} answers`,
      async () => {
        if (server.child.exitCode !== null) throw new Error(`Redis ended at its start: ${server.errors()}`);
        return (await ask('PING')).includes('PONG');
      },
      { limitMs: startLimitMs, everyMs: 30 },
    );
  }

  async function kill(): Promise<void> {
    await running?.stop('SIGKILL');
    running = undefined;
  }

  await start();
  return {
    port,
    get pid() {
      return running?.pid ?? -1;
    },
    ask,
    kill,
    start,
    signal: signal => running?.child.kill(signal),
    [Symbol.asyncDispose]: kill,
  };
}

export interface RedisCluster extends AsyncDisposable {
  readonly nodes: readonly RedisPeer[];
}

/** `masters` nodes, each with `replicas` of its own behind it in the list. */
export async function startCluster(
  folder: string,
  { masters = 3, replicas = 0, settings = durable } = {},
): Promise<RedisCluster> {
  const clustered = { ...settings, 'cluster-enabled': 'yes', 'cluster-node-timeout': '2000' };
  const nodes = await Promise.all(
    Array.from({ length: masters * (1 + replicas) }, () => startRedis(folder, { settings: clustered })),
  );
  const dispose = async () => {
    await Promise.all(nodes.map(node => node.kill()));
  };
  try {
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
    const [first] = nodes;
    await first?.ask('--cluster', 'create', ...addresses, '--cluster-replicas', String(replicas), '--cluster-yes');
    for (const node of nodes) {
      await waitUntil('the cluster is whole', async () =>
        (await node.ask('CLUSTER', 'INFO')).includes('cluster_state:ok'),
      );
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { nodes, [Symbol.asyncDispose]: dispose };
}

export interface SlotMove {
  /** Of the slot, still at the old node. */
  keys(): Promise<string[]>;
  /** At once, so that a test on a busy machine does not wait for a program a key. */
  some(keys: readonly string[]): Promise<void>;
  end(): Promise<void>;
}

/** Moves a slot to another node as redis-cli does it, key by key as the test wants it. */
export async function beginMove({ nodes }: RedisCluster, slot: number): Promise<SlotMove> {
  const names = await Promise.all(nodes.map(node => node.ask('CLUSTER', 'MYID')));
  const owners = await Promise.all(nodes.map(async node => ownsSlot(await node.ask('CLUSTER', 'NODES'), slot)));
  const at = owners.indexOf(true);
  const [from, to] = [nodes[at], nodes[(at + 1) % nodes.length]];
  const [fromName = '', toName = ''] = [names[at], names[(at + 1) % nodes.length]];
  if (from === undefined || to === undefined) throw new Error(`no node owns slot ${slot}`);
  const tell = async (node: RedisPeer, ...words: string[]): Promise<void> => {
    const said = await node.ask('CLUSTER', 'SETSLOT', String(slot), ...words);
    if (said !== 'OK') throw new Error(said);
  };
  await tell(to, 'IMPORTING', fromName);
  await tell(from, 'MIGRATING', toName);
  return {
    keys: async () =>
      (await from.ask('CLUSTER', 'GETKEYSINSLOT', String(slot), '10000')).split('\n').filter(key => key !== ''),
    async some(keys) {
      const said = await from.ask('MIGRATE', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...keys);
      if (!/^(OK|NOKEY)$/.test(said)) throw new Error(said);
    },
    async end() {
      await tell(to, 'NODE', toName);
      await tell(from, 'NODE', toName);
    },
  };
}

/** Undefined: nobody serves it. */
export async function nodeOfSlot({ nodes }: RedisCluster, slot: number): Promise<RedisPeer | undefined> {
  const owners = await Promise.all(nodes.map(async node => ownsSlot(await node.ask('CLUSTER', 'NODES'), slot)));
  return nodes[owners.indexOf(true)];
}

function ownsSlot(nodes: string, slot: number): boolean {
  const own = nodes.split('\n').find(line => line.includes('myself')) ?? '';
  return own
    .split(' ')
    .slice(8)
    .some(range => {
      const [first, last = first] = range.split('-').map(Number);
      return first !== undefined && last !== undefined && slot >= first && slot <= last;
    });
}

export interface RedisWithSentinels extends AsyncDisposable {
  readonly servers: readonly RedisPeer[];
  readonly sentinels: readonly RedisPeer[];
  readonly masterName: string;
  /** When one server took over from another, by the system's clock. */
  readonly takeovers: readonly Takeover[];
}

export interface Takeover {
  /** A Sentinel has found the former master silent for as long as it may be. */
  readonly silentMs: number;
  readonly timeMs: number;
  /** Of the new master. */
  readonly port: number;
}

/** For so long a master may say nothing. */
export const silenceMs = 1000;

/** A master, a replica, and three Sentinels that agree within two seconds. */
export async function startSentinels(folder: string, settings: Settings = durable): Promise<RedisWithSentinels> {
  const masterName = 'queue';
  const master = await startRedis(folder, { settings });
  const replica = await startRedis(folder, { settings: { ...settings, replicaof: `127.0.0.1 ${master.port}` } });
  const watch: Settings = {
    [`sentinel monitor ${masterName} 127.0.0.1`]: `${master.port} 2`,
    [`sentinel down-after-milliseconds ${masterName}`]: String(silenceMs),
    [`sentinel failover-timeout ${masterName}`]: '6000',
  };
  const takeovers: Takeover[] = [];
  let silentMs: number | undefined;
  // Each Sentinel says it, with old and new address.
  function onLine(line: string): void {
    if (line.includes('+sdown master ')) silentMs ??= Date.now();
    if (line.includes('-sdown master ')) silentMs = undefined;
    const port = Number(/\+switch-master \S+ \S+ \d+ \S+ (\d+)/.exec(line)?.[1]);
    if (!(port > 0) || takeovers.at(-1)?.port === port) return;
    const timeMs = Date.now();
    takeovers.push({ silentMs: silentMs ?? timeMs, timeMs, port });
    silentMs = undefined;
  }
  const sentinels = await Promise.all(
    [1, 2, 3].map(() => startRedis(folder, { settings: watch, args: ['--sentinel'], onLine })),
  );
  const all = [master, replica, ...sentinels];
  const dispose = async () => {
    await Promise.all(all.map(peer => peer.kill()));
  };
  try {
    for (const sentinel of sentinels) {
      await waitUntil('the Sentinels know each other and the replica', async () => {
        const said = await sentinel.ask('SENTINEL', 'MASTER', masterName);
        return /num-slaves\n1\n/.test(`${said}\n`) && /num-other-sentinels\n2\n/.test(`${said}\n`);
      });
    }
    await waitUntil('the replica follows', async () =>
      (await replica.ask('INFO', 'replication')).includes('master_link_status:up'),
    );
  } catch (error) {
    await dispose();
    throw error;
  }
  return { servers: [master, replica], sentinels, masterName, takeovers, [Symbol.asyncDispose]: dispose };
}
