/** The real scripts on a real Redis, with a time that the schedule owns, and a network that loses questions and answers as the schedule says. */

import { batchOf, type Call } from '../../../../relay/queue/redis/batch.ts';
import { type Answer, type Asking, callOf, type Question } from '../../../../relay/queue/redis/conversation.ts';
import type { Scripts } from '../../../../relay/queue/redis/scripts.ts';
import { QueueStoreError } from '../../../../relay/queue/sqlite/errors.ts';
import { type Command, RedisConnection, type Reply } from '../../../../relay/redis/connection.ts';
import { RedisFault } from '../../../../relay/redis/errors.ts';
import { single } from '../redis-harness.ts';

const timeoutMs = 30_000;

/** Sends what many schedules ask in one turn in one write, and what the relays of one ask together as a relay does. */
export class ScriptServer {
  readonly #connection: RedisConnection;
  readonly #scripts: Scripts;
  #waiting: { call: Call; answer: PromiseWithResolvers<Reply> }[] = [];
  asked = 0;

  private constructor(connection: RedisConnection, scripts: Scripts) {
    this.#connection = connection;
    this.#scripts = scripts;
  }

  static async open(port: number, scripts: Scripts): Promise<ScriptServer> {
    const connection = new RedisConnection(() => single(port));
    await connection.waitReady(performance.now() + timeoutMs);
    const loads = Object.values(scripts).map(({ text }): Command => ['SCRIPT', 'LOAD', text]);
    for (const reply of await connection.run(loads, timeoutMs)) if (reply instanceof RedisFault) throw reply;
    return new ScriptServer(connection, scripts);
  }

  run(question: Question, nowMs: number): Promise<readonly Reply[]> {
    return this.#ask(callOf(question, this.#scripts, nowMs)) as Promise<readonly Reply[]>;
  }

  send(command: Command): Promise<Reply> {
    return this.#ask({ head: command, args: [] });
  }

  #ask(call: Call): Promise<Reply> {
    this.asked += 1;
    const answer = Promise.withResolvers<Reply>();
    if (this.#waiting.push({ call, answer }) === 1) setImmediate(() => void this.#flush());
    return answer.promise;
  }

  close(): void {
    this.#connection.close();
  }

  /** Never rejects: who asked gets the fault. */
  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    try {
      const calls = batch.map(({ call }) => call);
      const { commands, resultsIn } = batchOf(calls, { together: false, merged: true });
      const results = resultsIn(await this.#connection.run(commands, timeoutMs));
      for (const [index, { answer }] of batch.entries()) {
        const reply = results[index] ?? null;
        if (reply instanceof RedisFault || reply === 'aborted') answer.reject(reply);
        else answer.resolve(reply);
      }
    } catch (error) {
      for (const { answer } of batch) answer.reject(error);
    }
  }
}

export interface Network {
  readonly nowMs: () => number;
  /** Of the next question to that partition. Late: it arrives when the schedule lets it, after others. */
  fate(partition: number): 'arrives' | 'question lost' | 'answer lost' | 'late';
  /** Resolves when what is late may arrive. */
  later(): Promise<void>;
  /** Told of each question that is with the server; left out: nobody waits for those alone. */
  answering?<T>(answer: Promise<T>): Promise<T>;
}

/** As Conversation does it: asked again where that is allowed, until the patience ends; here after three tries. */
export class LossyConversation implements Asking {
  readonly #server: ScriptServer;
  readonly #network: Network;

  constructor(server: ScriptServer, network: Network) {
    this.#server = server;
    this.#network = network;
  }

  async ask(question: Question, { repeatable = false }: { readonly repeatable?: boolean } = {}): Promise<Answer> {
    let doubtful = false;
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const fate = this.#network.fate(question.partition.number);
      if (fate === 'late') await this.#network.later();
      if (fate !== 'question lost') {
        const reply = await this.#told(this.#server.run(question, this.#network.nowMs()));
        if (fate !== 'answer lost') return { reply, doubtful };
      }
      doubtful = true;
      if (!repeatable) break;
    }
    const cause = new RedisFault('Unknown', 'the network lost it');
    throw new QueueStoreError('POSTROAD_QUEUE_UNAVAILABLE', cause.message, { cause });
  }

  command(_partition: unknown, command: Command): Promise<Reply> {
    return this.#told(this.#server.send(command));
  }

  #told<T>(answer: Promise<T>): Promise<T> {
    return this.#network.answering?.(answer) ?? answer;
  }

  close(): void {
    return;
  }
}
