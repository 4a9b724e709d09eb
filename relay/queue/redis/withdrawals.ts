/**
 * Messages whose client was told 451 because nobody knew in time whether they were stored. A rejected enqueue stores nothing: as soon as their
 * partition answers again, they are taken back, unless another relay has delivered them by then or this process has ended.
 */
import { QueueStoreError } from '../sqlite/errors.ts';
import type { Asking } from './conversation.ts';
import type { Partition } from './keys.ts';
import type { WiredMessage } from './wire.ts';

/** Of one partition. Beyond it the oldest are left to be delivered: so many refusals in one outage are no longer about single messages. */
const most = 10_000;

export class Withdrawals {
  readonly #conversation: Asking;
  readonly #doubtful = new Map<Partition, Set<WiredMessage>>();
  readonly #running = new Map<Partition, Promise<void>>();

  constructor(conversation: Asking) {
    this.#conversation = conversation;
  }

  add(partition: Partition, wired: WiredMessage): void {
    const its = this.#doubtful.get(partition) ?? new Set();
    this.#doubtful.set(partition, its.add(wired));
    const [oldest] = its;
    if (its.size > most && oldest !== undefined) its.delete(oldest);
  }

  /** @throws QueueStoreError: when Redis is still away they stay for the next time, what it refuses does not */
  run(partition: Partition): Promise<void> | undefined {
    const its = this.#doubtful.get(partition);
    if (its === undefined || its.size === 0) return undefined;
    const known = this.#running.get(partition);
    if (known !== undefined) return known;
    const running = this.#run(partition, its).finally(() => this.#running.delete(partition));
    this.#running.set(partition, running);
    return running;
  }

  async #run(partition: Partition, its: Set<WiredMessage>): Promise<void> {
    // What is added meanwhile comes last.
    for (const wired of its) {
      const asked = { message: wired.message };
      const question = { partition, script: 'withdraw', asked, bodies: [wired.record] } as const;
      try {
        await this.#conversation.ask(question, { durable: 'WhereItCan', repeatable: true });
      } catch (error) {
        // What the server will never do must not stand before everything else; it is told once.
        if (isRefused(error)) its.delete(wired);
        throw error;
      }
      its.delete(wired);
    }
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof QueueStoreError && error.code === 'POSTROAD_QUEUE_FAULT';
}
