/** Looks at a server's settings at each new connection and again and again, and says whether mail may be acknowledged on it. */
import type { RedisConnection } from '../../redis/connection.ts';
import { RedisFault } from '../../redis/errors.ts';
import { type DurabilityAsked, type DurabilityVerdict, judgeServer, parseInfo } from './durability.ts';

export interface Judged {
  readonly verdict: DurabilityVerdict;
  readonly generation: number;
}

const askTimeoutMs = 2000;

export class ServerGuard {
  readonly #asked: () => DurabilityAsked;
  readonly #connection: RedisConnection;
  #verdict: DurabilityVerdict | undefined;
  #generation = -1;
  #looking: Promise<void> | undefined;

  constructor(asked: () => DurabilityAsked, connection: RedisConnection) {
    this.#asked = asked;
    this.#connection = connection;
  }

  /** Of the last look, for the metrics; undefined before the first. */
  get last(): DurabilityVerdict | undefined {
    return this.#verdict;
  }

  /** And which connection it is about. @throws RedisFault */
  async judged(): Promise<Judged> {
    if (this.#generation !== this.#connection.generation || this.#verdict === undefined) await this.look();
    return { verdict: this.#verdict ?? { ok: false, reason: 'NotAsked' }, generation: this.#generation };
  }

  /** @throws RedisFault */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const connection = this.#connection;
    const { generation } = connection;
    const [info, config] = await connection.run([['INFO'], ['CONFIG', 'GET', 'appendfsync']], askTimeoutMs, generation);
    if (info instanceof RedisFault && info.kind !== 'Refused') throw info;
    if (config instanceof RedisFault && config.kind !== 'Refused') throw config;
    // A server that lets nobody ask is not trusted; one that only hides its configuration may still have WAITAOF.
    this.#verdict = Buffer.isBuffer(info)
      ? judgeServer(this.#asked(), { info: parseInfo(info.toString()), appendFsync: valueIn(config) })
      : { ok: false, reason: 'NotAsked' };
    this.#generation = generation;
  }
}

function valueIn(config: unknown): string | undefined {
  return Array.isArray(config) && config[1] !== undefined ? String(config[1]) : undefined;
}
