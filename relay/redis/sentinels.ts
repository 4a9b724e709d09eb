/**
 * What most of the Sentinels say of who is the master. A connection follows the word of one, and it may have been the last to learn that another
 * server has taken over: what is stored at the old master then is gone when it becomes a replica.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { RedisConnection, type Reply } from './connection.ts';
import { RedisFault } from './errors.ts';
import type { RedisAddress, RedisOptions } from './options.ts';

/** `Unknown`: too few could be asked, or they do not agree. */
export type MasterWord = 'ThisOne' | 'Another' | 'Unknown';

const readyTimeoutMs = 500;
const askTimeoutMs = 1000;

export class Sentinels {
  readonly #options: () => RedisOptions;
  readonly #connections: readonly RedisConnection[];

  constructor(options: () => RedisOptions) {
    this.#options = options;
    this.#connections = options().addresses.map(address => new RedisConnection(() => optionsOf(options(), address)));
  }

  /** Of the server at the other end of a connection. */
  async wordOf(peer: RedisAddress | undefined): Promise<MasterWord> {
    if (peer === undefined) return 'Unknown';
    const said = await Promise.all(this.#connections.map(connection => this.#names(connection, peer)));
    const most = said.length / 2;
    if (said.filter(named => named === true).length > most) return 'ThisOne';
    return said.filter(named => named === false).length > most ? 'Another' : 'Unknown';
  }

  renew(): void {
    for (const connection of this.#connections) connection.renew();
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** Undefined when it does not say. */
  async #names(connection: RedisConnection, peer: RedisAddress): Promise<boolean | undefined> {
    try {
      await connection.waitReady(performance.now() + readyTimeoutMs);
      const name = this.#options().sentinel?.masterName ?? '';
      const [reply] = await connection.run([['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name]], askTimeoutMs);
      const address = addressIn(reply);
      if (address === undefined) return undefined;
      return address.port === peer.port && (await addressesOf(address.host)).includes(peer.host);
    } catch (error) {
      if (error instanceof RedisFault || isUnresolved(error)) return undefined;
      throw error;
    }
  }
}

function optionsOf(options: RedisOptions, address: RedisAddress): RedisOptions {
  const { credentials: _, sentinel, ...rest } = options;
  const credentials = sentinel?.credentials === undefined ? {} : { credentials: sentinel.credentials };
  return { ...rest, ...credentials, type: 'Single', addresses: [address], database: 0 };
}

function addressIn(reply: Reply | RedisFault | undefined): RedisAddress | undefined {
  if (!Array.isArray(reply) || reply.length < 2) return undefined;
  return { host: String(reply[0]), port: Number(reply[1]) };
}

/** Sentinels may announce names. */
async function addressesOf(host: string): Promise<string[]> {
  return isIP(host) > 0 ? [host] : (await lookup(host, { all: true })).map(({ address }) => address);
}

function isUnresolved(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'getaddrinfo';
}
