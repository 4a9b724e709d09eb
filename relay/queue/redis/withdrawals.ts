/**
 * Messages whose client was told 451 because nobody knew in time whether they were stored. A rejected enqueue stores nothing: as soon as Redis
 * answers again, they are taken back, unless another relay has delivered them by then or this process has ended.
 */
import { QueueStoreError } from '../sqlite/errors.ts';
import type { Asking } from './conversation.ts';
import type { Partition } from './keys.ts';
import type { WiredMessage } from './wire.ts';

/** Beyond it the oldest are left to be delivered: so many refusals in one outage are no longer about single messages. */
const most = 10_000;

interface Doubtful {
  readonly partition: Partition;
  readonly wired: WiredMessage;
}

export class Withdrawals {
  readonly #conversation: Asking;
  #doubtful: Doubtful[] = [];
  #running: Promise<void> | undefined;

  constructor(conversation: Asking) {
    this.#conversation = conversation;
  }

  add(partition: Partition, wired: WiredMessage): void {
    this.#doubtful.push({ partition, wired });
    if (this.#doubtful.length > most) this.#doubtful.shift();
  }

  /** @throws QueueStoreError: when Redis is still away they stay for the next time, what it refuses does not */
  run(): Promise<void> | undefined {
    if (this.#doubtful.length === 0) return undefined;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    for (;;) {
      const [first] = this.#doubtful;
      if (first === undefined) return;
      const { partition, wired } = first;
      const question = {
        partition,
        script: 'withdraw',
        asked: { message: wired.message },
        bodies: [wired.record],
      } as const;
      try {
        await this.#conversation.ask(question, { durable: 'WhereItCan', repeatable: true });
      } catch (error) {
        // What the server will never do must not stand before everything else; it is told once.
        if (isRefused(error)) this.#drop(first);
        throw error;
      }
      this.#drop(first);
    }
  }
  #drop(done: Doubtful): void {
    this.#doubtful = this.#doubtful.filter(each => each !== done);
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof QueueStoreError && error.code === 'POSTROAD_QUEUE_FAULT';
}
