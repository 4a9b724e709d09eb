/**
 * Asks scripts of partitions, wherever they are now. What did not run is asked again until it did, or the time is over; what may have run is
 * asked again only where the script knows how to be asked twice.
 */
import type { Command, Reply } from '../../redis/connection.ts';
import { RedisFault } from '../../redis/errors.ts';
import type { RedisServer, RedisServers } from '../../redis/servers.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import type { Call } from './batch.ts';
import type { DurabilityAsked, DurabilityVerdict } from './durability.ts';
import { isUnavailable, mayHaveRun, toQueueError } from './errors.ts';
import { ServerGuard } from './guard.ts';
import type { Partition } from './keys.ts';
import { Outbox } from './outbox.ts';
import type { ScriptName, Scripts } from './scripts.ts';

interface Desk {
  readonly server: RedisServer;
  readonly guard: ServerGuard;
  readonly writes: Outbox;
  readonly reads: Outbox;
}

export interface Question {
  readonly partition: Partition;
  readonly script: ScriptName;
  readonly asked: object;
  readonly bodies?: readonly (string | Buffer)[];
}

/** Those that end with each.lua. */
const takesSeveral: ReadonlySet<ScriptName> = new Set(['enqueue', 'settle']);

/** `nowMs`: in tests, for scripts that take their time from the last argument. */
export function callOf({ partition, script, asked, bodies = [] }: Question, scripts: Scripts, nowMs?: number): Call {
  return {
    head: ['EVALSHA', scripts[script].sha, partition.keys.length, ...partition.keys],
    args: [JSON.stringify(asked), ...bodies],
    ...(nowMs === undefined ? {} : { tail: [nowMs] }),
    several: takesSeveral.has(script),
  };
}

export interface AskOptions {
  /** Answered only when it is as durable as was asked for. A server that would not keep it is not asked; `WhereItCan`: all the same. */
  readonly durable?: boolean | 'WhereItCan';
  /** Asked again also when its answer was lost. */
  readonly repeatable?: boolean;
  readonly withinMs?: number;
}

export interface Answer {
  readonly reply: readonly Reply[];
  /** An earlier try may have run. */
  readonly doubtful: boolean;
}

/** How long a question may take, Redis being away included. An SMTP client gets its 451 after this. */
const patienceMs = 5000;
const firstPauseMs = 10;
const longestPauseMs = 200;

export interface ConversationParts {
  readonly servers: RedisServers;
  readonly scripts: Scripts;
  readonly durability: () => DurabilityAsked;
  /** Before a partition is asked anything else. */
  readonly open: (partition: Partition, conversation: Conversation) => Promise<void>;
  /** Another server than before is asked: it may never have heard of what the last one was told just now. */
  readonly onMoved?: (partition: Partition) => void;
  /** For tests: the last argument of each script. */
  readonly nowMs?: () => number;
}

/** What the queue asks by: a conversation with servers, or in a test one that loses questions and answers. */
export interface Asking {
  /** @throws QueueFullError, QueueStoreError */
  ask(question: Question, options?: AskOptions): Promise<Answer>;
  /** A plain command on one key of the partition; it must do no harm when it runs twice. */
  command(partition: Partition, command: Command): Promise<Reply>;
  /** The connection that the partition was asked by last, where it need not be durable. Another one may be to another server. */
  connectionOf?(partition: Partition): string | undefined;
  close(): void;
}

export class Conversation implements Asking {
  readonly #parts: ConversationParts;
  readonly #desks = new Map<string, Desk>();
  readonly #opening = new Map<Partition, Promise<void>>();
  readonly #opened = new Set<Partition>();
  readonly #connections = new Map<Partition, string>();
  readonly #places = new Map<Partition, string>();

  constructor(parts: ConversationParts) {
    this.#parts = parts;
  }

  async ask(question: Question, options: AskOptions = {}): Promise<Answer> {
    const { partition, script } = question;
    const { scripts, nowMs } = this.#parts;
    const call = (): Call => callOf(question, scripts, nowMs?.());
    if (script !== 'open' && !this.#opened.has(partition)) await this.#openFirst(partition);
    const { reply, doubtful } = await this.#persist(partition, call, options);
    if (!Array.isArray(reply))
      throw new QueueStoreError('POSTROAD_QUEUE_FAULT', `${script} answered what it never does`);
    return { reply, doubtful };
  }

  async command(partition: Partition, command: Command): Promise<Reply> {
    return (await this.#persist(partition, () => ({ head: command, args: [] }), { repeatable: true })).reply;
  }

  connectionOf(partition: Partition): string | undefined {
    return this.#connections.get(partition);
  }

  /** What is known of each server that was asked. */
  verdicts(): { readonly name: string; readonly verdict: DurabilityVerdict | undefined }[] {
    return [...this.#desks.values()].map(({ server, guard }) => ({ name: server.name, verdict: guard.last }));
  }

  /** Looks at the settings of all servers again. Servers that are away are seen by whoever asks them something. */
  async look(): Promise<void> {
    const current = new Set(this.#parts.servers.all());
    for (const [name, { server, guard }] of this.#desks) {
      if (!current.has(server)) this.#desks.delete(name);
      else if (server.writes.ready) await unlessAway(guard.look());
    }
  }

  close(): void {
    this.#parts.servers.close();
  }

  /** Who comes meanwhile waits for the same, so that what was asked first is done first. */
  #openFirst(partition: Partition): Promise<void> {
    const known = this.#opening.get(partition);
    if (known !== undefined) return known;
    const opening = this.#parts.open(partition, this).then(() => {
      this.#opened.add(partition);
    });
    this.#opening.set(partition, opening);
    const done = () => this.#opening.delete(partition);
    opening.then(done, done);
    return opening;
  }

  async #persist(
    partition: Partition,
    call: () => Call,
    { durable = false, repeatable = false, withinMs = patienceMs }: AskOptions,
  ): Promise<{ reply: Reply; doubtful: boolean }> {
    const untilMs = performance.now() + withinMs;
    let doubt: RedisFault | undefined;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      try {
        return { reply: await this.#once(partition, call, { durable, untilMs }), doubtful: doubt !== undefined };
      } catch (error) {
        const again = error instanceof RedisFault && mayAsk(error, repeatable) && performance.now() + pauseMs < untilMs;
        if (error instanceof RedisFault && error.kind === 'Unknown') doubt ??= error;
        if (!again) throw queueErrorOf(error, doubt);
        this.#learnFrom(error);
      }
      await new Promise(resolve => setTimeout(resolve, pauseMs));
    }
  }

  async #once(
    partition: Partition,
    call: () => Call,
    { durable, untilMs }: { durable: boolean | 'WhereItCan'; untilMs: number },
  ): Promise<Reply> {
    const server = await this.#parts.servers.serverOf(partition.slot, untilMs);
    const desk = this.#deskOf(server);
    const before = this.#places.get(partition);
    this.#places.set(partition, server.name);
    if (before !== undefined && before !== server.name) this.#parts.onMoved?.(partition);
    const connection = durable === false ? server.reads : server.writes;
    const { awaySinceMs } = connection;
    const readyUntilMs = awaySinceMs === undefined ? untilMs : Math.min(untilMs, awaySinceMs + patienceMs);
    // Who comes when it has been away for long does not wait as long again.
    if (!connection.ready && performance.now() >= readyUntilMs) {
      this.#parts.servers.forget();
      throw new QueueStoreError('POSTROAD_QUEUE_UNAVAILABLE', connection.whyAway);
    }
    await connection.waitReady(readyUntilMs);
    if (durable === false) this.#connections.set(partition, `${server.name} ${connection.generation}`);
    return await (durable === false ? desk.reads : desk.writes).ask(call(), { onlyWhereSafe: durable === true });
  }

  #learnFrom({ moved, noScript }: RedisFault): void {
    if (moved) this.#parts.servers.forget();
    if (!noScript) return;
    for (const { writes, reads } of this.#desks.values()) {
      writes.reload();
      reads.reload();
    }
  }

  #deskOf(server: RedisServer): Desk {
    const known = this.#desks.get(server.name);
    if (known?.server === server) return known;
    const { scripts, durability, servers } = this.#parts;
    const masterWord = () => servers.masterWord(server);
    const guard = new ServerGuard({ asked: durability, connection: server.writes, masterWord });
    const writes = new Outbox({ connection: server.writes, scripts, judged: () => guard.judged() });
    const reads = new Outbox({ connection: server.reads, scripts });
    const desk = { server, guard, writes, reads };
    this.#desks.set(server.name, desk);
    return desk;
  }
}

/** That the last try was not even sent says nothing about an earlier one. */
function queueErrorOf(error: unknown, doubt: RedisFault | undefined): Error {
  const last = toQueueError(error);
  if (doubt === undefined || !isUnavailable(last) || mayHaveRun(last)) return last;
  return new QueueStoreError(last.code, last.message, { cause: doubt });
}

function mayAsk({ kind }: RedisFault, repeatable: boolean): boolean {
  return kind === 'NotDone' || (kind === 'Unknown' && repeatable);
}

async function unlessAway(looking: Promise<void>): Promise<void> {
  try {
    await looking;
  } catch (error) {
    if (!(error instanceof RedisFault)) throw error;
  }
}
