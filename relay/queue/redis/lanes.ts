/** Lanes of all relays of a queue: each is kept in one of its partitions, under a name of fixed length. */
import { createHash } from 'node:crypto';
import type { Reply } from '../../redis/connection.ts';
import type { LaneGrant, LaneSlots, LaneWord } from '../lane-slots.ts';
import type { Asking } from './conversation.ts';
import { homeOf, type Partition } from './keys.ts';
import { type Owner, ownerTtlMs } from './owner.ts';

export interface RedisLanesParts {
  readonly conversation: Asking;
  readonly partitions: readonly Partition[];
  readonly owner: Owner;
  /** Another one with each connection: the server behind it may have forgotten. */
  readonly era: () => number;
}

/** For connections to be closed before others may make theirs. */
const marginMs = 500;
/** For all owners to say again what they have; they do so every second. */
const settleMs = 3000;
const patienceMs = 2500;

export class RedisLanes implements LaneSlots {
  readonly grantMs = ownerTtlMs - marginMs;
  readonly #parts: RedisLanesParts;
  /** By partition, of the last question that was answered. */
  readonly #eras = new Map<number, number>();
  #calls = 0;

  constructor(parts: RedisLanesParts) {
    this.#parts = parts;
  }

  placeOf(key: string): number {
    return homeOf(nameOf(key), this.#parts.partitions.length);
  }

  async ask(place: number, words: readonly LaneWord[]): Promise<readonly LaneGrant[]> {
    const { conversation, owner, partitions } = this.#parts;
    const partition = partitions[place];
    if (partition === undefined) throw new RangeError(`${place} is no partition`);
    const era = this.#parts.era();
    const knownEra = this.#eras.get(place);
    this.#calls += 1;
    const asked = {
      owner: owner.name,
      ownerTtlMs,
      call: this.#calls,
      ...(knownEra === undefined || knownEra === era ? {} : { settleMs }),
      lanes: words.map(({ rest, key, ...word }) => ({
        ...word,
        key: nameOf(key),
        ...(rest === undefined ? {} : { restMs: Math.ceil(rest.forMs), failures: rest.failures }),
      })),
    };
    const question = { partition, script: 'lanes', asked } as const;
    const { reply } = await conversation.ask(question, { repeatable: true, withinMs: patienceMs });
    this.#eras.set(place, era);
    return words.map((_, at) => grantOf(reply[at + 1]));
  }
}

function nameOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 22);
}

function grantOf(reply: Reply | undefined): LaneGrant {
  const [may = 0, works = 0, forMs = 0, failures = 0, part = 0] = Array.isArray(reply) ? reply.map(Number) : [];
  return { may, part, othersWork: works === 1, rest: { forMs, failures } };
}
