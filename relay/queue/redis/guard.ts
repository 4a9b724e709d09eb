/** Looks at a server's settings at each new connection and again and again, and says whether mail may be acknowledged on it. */
import type { RedisConnection } from '../../redis/connection.ts';
import { RedisFault } from '../../redis/errors.ts';
import type { MasterWord } from '../../redis/sentinels.ts';
import {
  type DurabilityAsked,
  type DurabilityVerdict,
  judgeServer,
  parseInfo,
  type ServerFacts,
} from './durability.ts';

export interface Judged {
  readonly verdict: DurabilityVerdict;
  readonly generation: number;
}

/** Longer than what it may stand behind, which waits for a disk or a replica: to give up an answer breaks the connection. */
const askTimeoutMs = 4500;
/** What passes by itself is looked at again so soon. */
const passingMs = 500;

export interface ServerGuardParts {
  readonly asked: () => DurabilityAsked;
  readonly connection: RedisConnection;
  readonly masterWord: () => Promise<MasterWord>;
}

export class ServerGuard {
  readonly #parts: ServerGuardParts;
  #verdict: DurabilityVerdict | undefined;
  #generation = -1;
  #lookedMs = 0;
  #looking: Promise<void> | undefined;
  /** Of the server that had replicas last, by its run: since when it has none. */
  #followed: { readonly run: string; readonly goneMs: number | undefined } | undefined;

  constructor(parts: ServerGuardParts) {
    this.#parts = parts;
  }

  /** Of the last look, for the metrics; undefined before the first. */
  get last(): DurabilityVerdict | undefined {
    return this.#verdict;
  }

  /** And which connection it is about. @throws RedisFault */
  async judged(): Promise<Judged> {
    const { generation } = this.#parts.connection;
    if (this.#generation !== generation || this.#verdict === undefined || this.#passes()) await this.look();
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
    const { connection, asked, masterWord } = this.#parts;
    const { generation } = connection;
    const [info, config] = await connection.run([['INFO'], ['CONFIG', 'GET', 'appendfsync']], askTimeoutMs, generation);
    if (info instanceof RedisFault && info.kind !== 'Refused') throw info;
    if (config instanceof RedisFault && config.kind !== 'Refused') throw config;
    // A server that lets nobody ask is not trusted; one that only hides its configuration may still have WAITAOF.
    this.#verdict = Buffer.isBuffer(info)
      ? judgeServer(asked(), await this.#facts(parseInfo(info.toString()), valueIn(config), masterWord))
      : { ok: false, reason: 'NotAsked' };
    this.#lookedMs = performance.now();
    this.#generation = generation;
  }

  #passes(): boolean {
    const passing = this.#verdict?.ok === false && ['ReplicaGone', 'NotAMaster'].includes(this.#verdict.reason);
    return passing && performance.now() - this.#lookedMs > passingMs;
  }

  async #facts(
    info: ReadonlyMap<string, string>,
    appendFsync: string | undefined,
    masterWord: () => Promise<MasterWord>,
  ): Promise<ServerFacts> {
    return { info, appendFsync, masterWord: await masterWord(), aloneMs: this.#aloneMs(info) };
  }

  #aloneMs(info: ReadonlyMap<string, string>): number {
    const run = info.get('run_id') ?? '';
    if (Number(info.get('connected_slaves') ?? 0) > 0) this.#followed = { run, goneMs: undefined };
    if (this.#followed?.run !== run) return Number.POSITIVE_INFINITY;
    if (Number(info.get('connected_slaves') ?? 0) > 0) return 0;
    const goneMs = this.#followed.goneMs ?? performance.now();
    this.#followed = { run, goneMs };
    return performance.now() - goneMs;
  }
}

function valueIn(config: unknown): string | undefined {
  return Array.isArray(config) && config[1] !== undefined ? String(config[1]) : undefined;
}
