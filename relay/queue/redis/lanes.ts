/**
 * Lanes of all relays of a queue: each is kept in one of its partitions, under a name of fixed length. While that one is away it is kept in another,
 * the same for all relays: to each it is as if another server had taken over.
 */
import { createHash } from 'node:crypto';
import type { Reply } from '../../redis/connection.ts';
import type { LaneGrant, LaneSlots, LaneWord } from '../lane-slots.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import type { Asking } from './conversation.ts';
import { isUnavailable } from './errors.ts';
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
/** And where only this relay may think that it is away: until it has asked there again. */
const standInSettleMs = 10_000;
const patienceMs = 2500;
const mostTries = 3;
/** One that did not answer is asked again after so long. */
const awayMs = 5000;
/** From a partition to those that stand in for it. Nodes of a Cluster have neighbours. */
const standIns = [4, 2, 6, 1, 5, 3, 7];

interface Answerer {
  readonly partition: Partition;
  readonly connection: string | undefined;
}

/** For so long nobody gets more: of all lanes there, or of those that are spoken of. */
interface Settling {
  readonly settleMs?: number;
  readonly settleLanesMs?: number;
}

export class RedisLanes implements LaneSlots {
  readonly grantMs = ownerTtlMs - marginMs;
  readonly #parts: RedisLanesParts;
  /** By place: who answered last, and through which connection. */
  readonly #answered = new Map<number, Answerer>();
  /** Until when they are not asked. */
  readonly #away = new Map<Partition, number>();
  #calls = 0;

  constructor(parts: RedisLanesParts) {
    this.#parts = parts;
  }

  placeOf(key: string): number {
    return homeOf(nameOf(key), this.#parts.partitions.length);
  }

  async ask(place: number, words: readonly LaneWord[]): Promise<readonly LaneGrant[]> {
    const { conversation } = this.#parts;
    let settling: Settling = {};
    for (let tries = 0; tries < mostTries; tries += 1) {
      const { partition, reply } = await this.#sayAnywhere(place, words, settling);
      const before = this.#answered.get(place);
      const now = { partition, connection: conversation.connectionOf?.(partition) };
      this.#answered.set(place, now);
      const isElsewhere = before !== undefined && before.partition !== partition;
      if (before === undefined || (!isElsewhere && before.connection === now.connection))
        return words.map((_, at) => grantOf(reply[at + 1]));
      // What it has just granted may be others'.
      const isHome = partition.number === place;
      settling = isElsewhere ? { settleLanesMs: isHome ? settleMs : standInSettleMs } : { settleMs };
    }
    throw new QueueStoreError('POSTROAD_QUEUE_UNAVAILABLE', 'no connection to Redis lasts');
  }

  async #sayAnywhere(
    place: number,
    words: readonly LaneWord[],
    settling: Settling,
  ): Promise<{ partition: Partition; reply: readonly Reply[] }> {
    const all = this.#partitionsOf(place);
    const [first = all[0], ...others] = all.filter(each => (this.#away.get(each) ?? 0) <= performance.now());
    if (first === undefined) throw new RangeError(`${place} is no partition`);
    try {
      const reply = await this.#say(first, words, settling);
      this.#away.delete(first);
      return { partition: first, reply };
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      this.#away.set(first, performance.now() + awayMs);
      // Words grow old: one other is asked now, the next when they are said again.
      const [other] = others;
      if (other === undefined) throw error;
      return { partition: other, reply: await this.#say(other, words, settling) };
    }
  }

  /** In the order in which they are asked, which is the same for every relay. */
  #partitionsOf(place: number): Partition[] {
    const { partitions } = this.#parts;
    const { length } = partitions;
    const at = length === 1 ? [place] : [place, ...standIns.map(step => (place + step) % length)];
    return at.map(each => partitions[each]).filter(each => each !== undefined);
  }

  async #say(partition: Partition, words: readonly LaneWord[], settling: Settling): Promise<readonly Reply[]> {
    const { conversation, owner } = this.#parts;
    this.#calls += 1;
    const asked = {
      owner: owner.name,
      ownerTtlMs,
      call: this.#calls,
      ...settling,
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
