/**
 * What is asked of one connection in one turn of the event loop goes out in one write. Where durability wants more than an answer, a barrier
 * goes behind, and what comes meanwhile gathers for the next: everyone shares the waiting, as with a group commit.
 */
import type { Command, RedisConnection, Reply } from '../../redis/connection.ts';
import { RedisFault } from '../../redis/errors.ts';
import { type BatchOptions, batchOf, type Call, type Result } from './batch.ts';
import type { TroubleReason } from './durability.ts';
import { QueueTroubleError } from './errors.ts';
import type { Judged } from './guard.ts';
import type { Scripts } from './scripts.ts';

interface Asked {
  readonly call: Call;
  /** Not sent to a server that would not keep it, nor answered before it is kept. */
  readonly onlyWhereSafe: boolean;
  readonly bytes: number;
  readonly answer: PromiseWithResolvers<Reply>;
}

interface Barrier {
  readonly command: Command;
  readonly atLeast: readonly number[];
}

const answerTimeoutMs = 5000;
const mostFlying = 16;
/** What Redis takes of a connection at a time, and syncs its file for. */
const readBytes = 16 * 1024;
/** While the server syncs for one write the next gathers, instead of many that each cost a sync. A larger one takes time to be sent: beside it goes another. */
const largeBytes = 64 * 1024;
const mostAtOnce = 500;
const mostBytesAtOnce = 4 * 2 ** 20;

export interface OutboxParts {
  readonly connection: RedisConnection;
  readonly scripts: Scripts;
  /** For what must be durable before it is answered; @throws RedisFault */
  readonly judged?: () => Promise<Judged>;
}

export class Outbox {
  readonly #parts: OutboxParts;
  #waiting: Asked[] = [];
  #scheduled = false;
  #flying = 0;
  #flyingBytes = 0;
  #barred = false;
  #loadedGeneration = -1;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** @throws RedisFault, QueueTroubleError */
  ask(call: Call, { onlyWhereSafe = false } = {}): Promise<Reply> {
    const answer = Promise.withResolvers<Reply>();
    this.#waiting.push({ call, onlyWhereSafe, bytes: bytesOf(call), answer });
    this.#schedule();
    return answer.promise;
  }

  /** The server has lost the scripts. */
  reload(): void {
    this.#loadedGeneration = -1;
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0 || this.#flying >= this.#limit) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flying += 1;
      const batch = this.#take();
      const bytes = batch.reduce((sum, one) => sum + one.bytes, 0);
      this.#flyingBytes += bytes;
      void this.#fly(batch, bytes).finally(() => {
        this.#flying -= 1;
        this.#flyingBytes -= bytes;
        this.#schedule();
      });
      this.#schedule();
    });
  }

  get #limit(): number {
    if (this.#barred) return 1;
    if (this.#parts.judged === undefined) return mostFlying;
    return this.#flyingBytes < largeBytes ? 1 : 2;
  }

  #take(): Asked[] {
    let [count, bytes] = [0, 0];
    for (const { bytes: its } of this.#waiting) {
      if (count > 0 && (count >= mostAtOnce || bytes + its > mostBytesAtOnce)) break;
      count += 1;
      bytes += its;
    }
    return this.#waiting.splice(0, count);
  }

  /** Never rejects. */
  async #fly(batch: readonly Asked[], bytes: number): Promise<void> {
    try {
      const together = this.#parts.judged !== undefined && bytes > readBytes / 2;
      const aborted = await this.#send(batch, { together, merged: true });
      if (aborted.length > 0) await this.#send(aborted, { together: false, merged: false });
    } catch (error) {
      for (const { answer } of batch) answer.reject(error);
    }
  }

  /** Returns what did not run because of something beside it. */
  async #send(asked: readonly Asked[], how: BatchOptions): Promise<Asked[]> {
    const { connection } = this.#parts;
    const { barrier, trouble, generation } = await this.#barrier();
    const wanted = trouble === undefined ? asked : refuseUnsafe(asked, trouble);
    if (wanted.length === 0) return [];
    const batch = batchOf(
      wanted.map(({ call }) => call),
      how,
    );
    const load = this.#loadedGeneration === generation ? [] : this.#loadCommands();
    const commands = [...load, ...batch.commands, ...(barrier === undefined ? [] : [barrier.command])];
    const replies = await connection.run(commands, answerTimeoutMs, generation);
    if (load.length > 0 && !replies.slice(0, load.length).some(reply => reply instanceof RedisFault))
      this.#loadedGeneration = generation;
    const unsafe = barrier === undefined ? undefined : faultOfBarrier(replies.at(-1), barrier.atLeast);
    return answerAll(wanted, batch.resultsIn(replies.slice(load.length)), unsafe);
  }

  async #barrier(): Promise<{ barrier?: Barrier | undefined; trouble?: TroubleReason; generation: number }> {
    const judged = await this.#parts.judged?.();
    if (judged === undefined) return { generation: this.#parts.connection.generation };
    const { verdict, generation } = judged;
    this.#barred = verdict.ok && verdict.barrier !== undefined;
    if (!verdict.ok) return { trouble: verdict.reason, generation };
    return { barrier: verdict.barrier, generation };
  }

  #loadCommands(): Command[] {
    return Object.values(this.#parts.scripts).map(({ text }): Command => ['SCRIPT', 'LOAD', text]);
  }
}

function bytesOf({ args }: Call): number {
  return args.reduce<number>((sum, argument) => sum + (typeof argument === 'number' ? 8 : argument.length), 0);
}

/** Returns what has no answer yet. `unsafe`: what ran is not durable; whom that does not keep from asking has an answer all the same. */
function answerAll(asked: readonly Asked[], results: readonly Result[], unsafe: RedisFault | undefined): Asked[] {
  return asked.filter(({ answer, onlyWhereSafe }, index) => {
    const result = results[index] ?? null;
    if (result === 'aborted') return true;
    if (result instanceof RedisFault) answer.reject(result);
    else if (unsafe !== undefined && onlyWhereSafe) answer.reject(unsafe);
    else answer.resolve(result);
    return false;
  });
}

/** Returns what is asked all the same. */
function refuseUnsafe(asked: readonly Asked[], reason: TroubleReason): readonly Asked[] {
  for (const { onlyWhereSafe, answer } of asked) if (onlyWhereSafe) answer.reject(new QueueTroubleError(reason));
  return asked.filter(({ onlyWhereSafe }) => !onlyWhereSafe);
}

/** It ran, and is not as durable as asked: what becomes of it nobody knows. */
function faultOfBarrier(reply: Reply | RedisFault | undefined, atLeast: readonly number[]): RedisFault | undefined {
  if (reply instanceof RedisFault)
    return new RedisFault('Unknown', `not known to be durable: ${reply.message}`, { cause: reply });
  const got = Array.isArray(reply) ? reply.map(Number) : [Number(reply)];
  if (atLeast.every((least, index) => (got[index] ?? 0) >= least)) return undefined;
  return new RedisFault(
    'Unknown',
    `not durable in time: ${got.join(', ')} of ${atLeast.join(', ')} (disk, replicas) have it`,
  );
}
