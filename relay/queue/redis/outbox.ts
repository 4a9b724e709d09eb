/**
 * What is asked of one connection in one turn of the event loop goes out in one write. Where durability wants more than an answer, a barrier
 * goes behind, and what comes meanwhile gathers for the next: everyone shares the waiting, as with a group commit.
 */
import type { Command, RedisConnection, Reply } from '../../redis/connection.ts';
import { RedisFault } from '../../redis/errors.ts';
import type { TroubleReason } from './durability.ts';
import { QueueTroubleError } from './errors.ts';
import type { Judged } from './guard.ts';
import type { Scripts } from './scripts.ts';

interface Asked {
  readonly command: Command;
  /** Not sent to a server that would not keep it. */
  readonly onlyWhereSafe: boolean;
  readonly answer: PromiseWithResolvers<Reply>;
}

interface Barrier {
  readonly command: Command;
  readonly atLeast: readonly number[];
}

const answerTimeoutMs = 5000;
const mostFlying = 16;
const mostAtOnce = 500;

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
  #barred = false;
  #loadedGeneration = -1;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** @throws RedisFault, QueueTroubleError */
  ask(command: Command, { onlyWhereSafe = false } = {}): Promise<Reply> {
    const answer = Promise.withResolvers<Reply>();
    this.#waiting.push({ command, onlyWhereSafe, answer });
    this.#schedule();
    return answer.promise;
  }

  /** The server has lost the scripts. */
  reload(): void {
    this.#loadedGeneration = -1;
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0 || this.#flying >= (this.#barred ? 1 : mostFlying)) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flying += 1;
      void this.#fly(this.#waiting.splice(0, mostAtOnce)).finally(() => {
        this.#flying -= 1;
        this.#schedule();
      });
      this.#schedule();
    });
  }

  /** Never rejects. */
  async #fly(batch: readonly Asked[]): Promise<void> {
    try {
      await this.#send(batch);
    } catch (error) {
      for (const { answer } of batch) answer.reject(error);
    }
  }

  async #send(asked: readonly Asked[]): Promise<void> {
    const { connection } = this.#parts;
    const { barrier, trouble, generation } = await this.#barrier();
    const batch = trouble === undefined ? asked : refuseUnsafe(asked, trouble);
    if (batch.length === 0) return;
    const load = this.#loadedGeneration === generation ? [] : this.#loadCommands();
    const commands = [
      ...load,
      ...batch.map(({ command }) => command),
      ...(barrier === undefined ? [] : [barrier.command]),
    ];
    const replies = await connection.run(commands, answerTimeoutMs, generation);
    if (load.length > 0 && !replies.slice(0, load.length).some(reply => reply instanceof RedisFault))
      this.#loadedGeneration = generation;
    const unsafe = barrier === undefined ? undefined : faultOfBarrier(replies.at(-1), barrier.atLeast);
    for (const [index, { answer }] of batch.entries()) {
      const reply = replies[load.length + index] ?? null;
      if (reply instanceof RedisFault) answer.reject(reply);
      else if (unsafe !== undefined) answer.reject(unsafe);
      else answer.resolve(reply);
    }
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
