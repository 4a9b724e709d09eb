/** The servers behind a Redis: one, or the masters of a Cluster by hash slot. Who they are is asked again whenever one says otherwise. */
import { type Command, RedisConnection, type Reply } from './connection.ts';
import { RedisFault } from './errors.ts';
import type { RedisAddress, RedisOptions } from './options.ts';
import { type MasterWord, Sentinels } from './sentinels.ts';

/** Two connections: what waits to be durable must not hold up what need not. */
export interface RedisServer {
  readonly name: string;
  readonly writes: RedisConnection;
  readonly reads: RedisConnection;
}

export interface RedisServers {
  /** @throws RedisFault NotDone, when nobody knows by then */
  serverOf(slot: number, untilMs: number): Promise<RedisServer>;
  /** Of the server that serves the slot, as far as is known without asking. */
  nameOf(slot: number): string | undefined;
  all(): readonly RedisServer[];
  /** Whether that server is still the master, where others than itself can tell. `Another`: connections are made anew. */
  masterWord(server: RedisServer): Promise<MasterWord>;
  /** Somebody said that what we know is wrong. */
  forget(): void;
  /** The options say something else: new connections take the place of the old ones. */
  renew(): void;
  close(): void;
}

/** `onConnect`: another connection was made to the server of that name, or to one that took its place. */
export function connectRedis(options: () => RedisOptions, onConnect: (name: string) => void): RedisServers {
  return options().type === 'Cluster' ? new ClusterServers(options, onConnect) : new OneServer(options, onConnect);
}

interface Opening {
  readonly options: () => RedisOptions;
  readonly onConnect: (name: string) => void;
}

function open({ options, onConnect }: Opening, name: string, address?: RedisAddress): RedisServer {
  const connection = () => new RedisConnection(options, { address, onConnect: () => onConnect(name) });
  return { name, writes: connection(), reads: connection() };
}

function each(servers: Iterable<RedisServer>, what: 'renew' | 'close'): void {
  for (const { writes, reads } of servers) for (const connection of [writes, reads]) connection[what]();
}

/** A Sentinel that was the last to hear of it may name the old one again. */
const renewEveryMs = 1000;

class OneServer implements RedisServers {
  readonly #server: RedisServer;
  readonly #sentinels: Sentinels | undefined;
  #renewedMs = Number.NEGATIVE_INFINITY;

  constructor(options: () => RedisOptions, onConnect: Opening['onConnect']) {
    this.#server = open({ options, onConnect }, 'server');
    this.#sentinels = options().type === 'Sentinel' ? new Sentinels(options) : undefined;
  }

  serverOf(): Promise<RedisServer> {
    return Promise.resolve(this.#server);
  }

  nameOf(): string {
    return this.#server.name;
  }

  all(): readonly RedisServer[] {
    return [this.#server];
  }

  async masterWord({ writes, reads }: RedisServer): Promise<MasterWord> {
    const word = await (this.#sentinels?.wordOf(writes.peer) ?? 'ThisOne');
    if (this.#sentinels === undefined || performance.now() - this.#renewedMs < renewEveryMs) return word;
    // One of the two may have been led to another server, and the other not told of it: what it says and hears there is of no queue.
    const isSplit = word === 'ThisOne' && areApart(writes.peer, reads.peer);
    if (word !== 'Another' && !isSplit) return word;
    this.#renewedMs = performance.now();
    if (isSplit) reads.renew();
    else each(this.all(), 'renew');
    return word;
  }

  /** ioredis follows a Sentinel's word by itself. */
  forget(): void {
    return;
  }

  renew(): void {
    each(this.all(), 'renew');
    this.#sentinels?.renew();
  }

  close(): void {
    each(this.all(), 'close');
    this.#sentinels?.close();
  }
}

function areApart(one: RedisAddress | undefined, other: RedisAddress | undefined): boolean {
  return one !== undefined && other !== undefined && (one.host !== other.host || one.port !== other.port);
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly name: string;
}

const askTimeoutMs = 1000;
const pauseMs = 20;

class ClusterServers implements RedisServers {
  readonly #opening: Opening;
  readonly #servers = new Map<string, RedisServer>();
  /** Only for asking who is who. */
  readonly #seeds: RedisServer[];
  #ranges: readonly Range[] | undefined;
  #asking: Promise<void> | undefined;
  #closed = false;

  constructor(options: () => RedisOptions, onConnect: Opening['onConnect']) {
    this.#opening = { options, onConnect };
    this.#seeds = options().addresses.map(address => this.#server(address));
  }

  async serverOf(slot: number, untilMs: number): Promise<RedisServer> {
    for (;;) {
      const server = this.#servers.get(this.nameOf(slot) ?? '');
      if (server !== undefined) return server;
      if (this.#closed || performance.now() > untilMs)
        throw new RedisFault('NotDone', `no server of the Cluster serves slot ${slot}`, { moved: true });
      // Known servers that do not serve it: it moves, or nobody does for now.
      if (this.#ranges !== undefined) await pause();
      this.#ranges = undefined;
      await this.#ask();
    }
  }

  nameOf(slot: number): string | undefined {
    return this.#ranges?.find(({ from, to }) => slot >= from && slot <= to)?.name;
  }

  all(): readonly RedisServer[] {
    return [...this.#servers.values()];
  }

  /** A node of a Cluster that is master no more says so itself. */
  masterWord(): Promise<MasterWord> {
    return Promise.resolve('ThisOne');
  }

  forget(): void {
    this.#ranges = undefined;
  }

  renew(): void {
    each(this.#servers.values(), 'renew');
  }

  close(): void {
    this.#closed = true;
    each(this.#servers.values(), 'close');
  }

  #server(address: RedisAddress): RedisServer {
    const name = `${address.host}:${address.port}`;
    const known = this.#servers.get(name);
    if (known !== undefined) return known;
    const server = open(this.#opening, name, address);
    this.#servers.set(name, server);
    return server;
  }

  #ask(): Promise<void> {
    this.#asking ??= this.#askAnyone().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #askAnyone(): Promise<void> {
    const ready = this.all().filter(({ reads }) => reads.ready);
    for (const { name, reads } of ready) {
      const [reply] = await answered(reads.run([['CLUSTER', 'SLOTS'] satisfies Command], askTimeoutMs));
      const masters = reply === undefined ? [] : mastersIn(reply, name);
      if (masters.length === 0) continue;
      this.#ranges = masters.map(({ from, to, address }) => ({ from, to, name: this.#server(address).name }));
      this.#dropOthers(new Set(this.#ranges.map(({ name: its }) => its)));
      return;
    }
    await pause();
  }

  /** Nodes that are masters no more. Seeds stay: they are how the others are found again. */
  #dropOthers(wanted: ReadonlySet<string>): void {
    const seeds = new Set(this.#seeds.map(({ name }) => name));
    for (const [name, server] of this.#servers) {
      if (wanted.has(name) || seeds.has(name)) continue;
      this.#servers.delete(name);
      each([server], 'close');
    }
  }
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, pauseMs));
}

/** A node that cannot answer is passed over. */
async function answered(asked: Promise<(Reply | RedisFault)[]>): Promise<Reply[]> {
  try {
    return (await asked).filter((reply): reply is Reply => !(reply instanceof RedisFault));
  } catch (error) {
    if (error instanceof RedisFault) return [];
    throw error;
  }
}

/** CLUSTER SLOTS: [from, to, [host, port, ...], replicas ...] a range. A node that does not know its own name says none. */
function mastersIn(reply: Reply, askedName: string): { from: number; to: number; address: RedisAddress }[] {
  if (!Array.isArray(reply)) return [];
  return reply.map(range => {
    const [from, to, master] = range as [number, number, [Buffer | null, number]];
    const host = String(master[0] ?? '');
    const unnamed = host === '' || host === '?';
    return {
      from,
      to,
      address: { host: unnamed ? askedName.slice(0, askedName.lastIndexOf(':')) : host, port: master[1] },
    };
  });
}
