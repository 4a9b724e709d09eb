/** Lanes of all relays of a queue: each is kept in one of its partitions, under a name of fixed length. */
import { createHash } from 'node:crypto';
import type { Reply } from '../../redis/connection.ts';
import type { LaneGrant, LaneSlots, LaneWord } from '../lane-slots.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import type { Asking } from './conversation.ts';
import { homeOf, type Partition } from './keys.ts';
import { type Owner, ownerTtlMs } from './owner.ts';

export interface RedisLanesParts {
  readonly conversation: Asking;
  readonly partitions: readonly Partition[];
  readonly owner: Owner;
}

/** For connections to be closed before others may make theirs. */
const marginMs = 500;
/** For all owners to say again what they have; they do so every second. */
const settleMs = 3000;
const patienceMs = 2500;
const mostTries = 3;

export class RedisLanes implements LaneSlots {
  readonly grantMs = ownerTtlMs - marginMs;
  readonly #parts: RedisLanesParts;
  /** By partition: through which it answered last. */
  readonly #connections = new Map<number, string | undefined>();
  #calls = 0;

  constructor(parts: RedisLanesParts) {
    this.#parts = parts;
  }

  placeOf(key: string): number {
    return homeOf(nameOf(key), this.#parts.partitions.length);
  }

  async ask(place: number, words: readonly LaneWord[]): Promise<readonly LaneGrant[]> {
    const { conversation, partitions } = this.#parts;
    const partition = partitions[place];
    if (partition === undefined) throw new RangeError(`${place} is no partition`);
    for (let settles = false, tries = 0; tries < mostTries; settles = true, tries += 1) {
      const reply = await this.#say(partition, words, settles);
      const isFirst = !this.#connections.has(place);
      const before = this.#connections.get(place);
      const connection = conversation.connectionOf?.(partition);
      this.#connections.set(place, connection);
      if (isFirst || connection === before) return words.map((_, at) => grantOf(reply[at + 1]));
      // What it has just granted may be others'.
    }
    throw new QueueStoreError('POSTROAD_QUEUE_UNAVAILABLE', 'no connection to Redis lasts');
  }

  async #say(partition: Partition, words: readonly LaneWord[], settles: boolean): Promise<readonly Reply[]> {
    const { conversation, owner } = this.#parts;
    this.#calls += 1;
    const asked = {
      owner: owner.name,
      ownerTtlMs,
      call: this.#calls,
      ...(settles ? { settleMs } : {}),
      lanes: words.map(({ rest, key, ...word }) => ({
        ...word,
        key: nameOf(key),
        ...(rest === undefined ? {} : { restMs: Math.ceil(rest.forMs), failures: rest.failures }),
      })),
    };
    const question = { partition, script: 'lanes', asked } as const;
    return (await conversation.ask(question, { repeatable: true, withinMs: patienceMs })).reply;
  }
}

function nameOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 22);
}

function grantOf(reply: Reply | undefined): LaneGrant {
  const [may = 0, works = 0, forMs = 0, failures = 0, part = 0] = Array.isArray(reply) ? reply.map(Number) : [];
  return { may, part, othersWork: works === 1, rest: { forMs, failures } };
}
