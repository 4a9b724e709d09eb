/** Looks at a server's settings at each new connection and again and again, and says whether mail may be acknowledged on it. */
import type { Command, RedisConnection } from '../../redis/connection.ts';
import { RedisFault } from '../../redis/errors.ts';
import type { MasterWord } from '../../redis/sentinels.ts';
import {
  type DurabilityAsked,
  type DurabilityVerdict,
  hasFile,
  judgeServer,
  parseInfo,
  type ServerFacts,
  type TroubleReason,
} from './durability.ts';

export interface Judged {
  readonly verdict: DurabilityVerdict;
  readonly generation: number;
}

/** Longer than what it may stand behind, which waits for a disk or a replica: to give up an answer breaks the connection. */
const askTimeoutMs = 4500;
/** What passes by itself is looked at again so soon. */
const passingMs = 500;
const passing: ReadonlySet<TroubleReason> = new Set(['ReplicaGone', 'NotAMaster', 'AppendOnlyDisabled']);
const settings: Command = ['CONFIG', 'GET', 'appendfsync', 'no-appendfsync-on-rewrite'];

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

  /** Run of a server that had no append-only file when it was last looked at. */
  #withoutFile: string | undefined;

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
    const [info, config] = await connection.run([['INFO'], settings], askTimeoutMs, generation);
    if (info instanceof RedisFault && info.kind !== 'Refused') throw info;
    if (config instanceof RedisFault && config.kind !== 'Refused') throw config;
    // A server that lets nobody ask is not trusted; one that only hides its configuration may still have WAITAOF.
    this.#verdict = Buffer.isBuffer(info)
      ? judgeServer(asked(), await this.#facts(parseInfo(info.toString()), config, masterWord))
      : { ok: false, reason: 'NotAsked' };
    this.#lookedMs = performance.now();
    this.#generation = generation;
  }

  #passes(): boolean {
    const passes = this.#verdict?.ok === false && passing.has(this.#verdict.reason);
    return passes && performance.now() - this.#lookedMs > passingMs;
  }

  async #facts(
    info: ReadonlyMap<string, string>,
    config: unknown,
    masterWord: () => Promise<MasterWord>,
  ): Promise<ServerFacts> {
    const hadNoFile = this.#hadNoFile(info);
    return {
      info,
      appendFsync: valueIn(config, 'appendfsync'),
      skipsSyncs: valueIn(config, 'no-appendfsync-on-rewrite') === 'yes',
      hadNoFile,
      masterWord: await masterWord(),
      aloneMs: this.#aloneMs(info),
    };
  }

  #hadNoFile(info: ReadonlyMap<string, string>): boolean {
    const run = info.get('run_id') ?? '';
    const hadNoFile = this.#withoutFile === run;
    this.#withoutFile = hasFile({ info, hadNoFile }) ? undefined : run;
    return hadNoFile;
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

/** CONFIG GET answers with names and values in turn. */
function valueIn(config: unknown, name: string): string | undefined {
  const at = Array.isArray(config) ? config.findIndex((word, index) => index % 2 === 0 && String(word) === name) : -1;
  return at < 0 ? undefined : String((config as unknown[])[at + 1]);
}
