/**
 * What keeps leases: signs that their owner lives, four in the time after which it counts as dead, and renewals. Whoever stood still for that
 * long, or could not be heard, must ask before it delivers what it holds: others may have it by now. So an era ends there; saying again that we
 * live begins another, and does not bring back what was taken over meanwhile. An era ends with a connection, too: the server behind the next may
 * be one that never heard of the last leases (a failover, or a restart without the last second).
 *
 * All of it is of one partition: who does not hear us in one may hear us in the others, and what is leased there stays ours.
 */
import type { Asking } from './conversation.ts';
import type { Partition } from './keys.ts';
import { type Owner, ownerTtlMs, partitionOfToken } from './owner.ts';

export interface LifeParts {
  readonly conversation: Asking;
  readonly partitions: readonly Partition[];
  readonly owner: Owner;
  /** Never set back, and goes on while the process is stopped. */
  readonly monotonicMs?: () => number;
}

interface Known {
  sureUntilMs: number;
  era: number;
  /** When leases were taken from us last. */
  taken: string;
}

/** For a delivery to begin before the time is over. */
const marginMs = 500;

export class Life {
  readonly #parts: LifeParts;
  readonly #monotonicMs: () => number;
  readonly #known: ReadonlyMap<Partition, Known>;

  constructor(parts: LifeParts) {
    this.#parts = parts;
    this.#monotonicMs = parts.monotonicMs ?? (() => performance.now());
    // Nothing can be leased before now, and each lease is a sign of life.
    const sureUntilMs = this.#monotonicMs() + ownerTtlMs - marginMs;
    this.#known = new Map(parts.partitions.map(partition => [partition, { sureUntilMs, era: 0, taken: '' }]));
  }

  /** Nobody can have taken over what was leased there in this era and not settled. */
  sure(partition: Partition): boolean {
    return this.#monotonicMs() < this.#of(partition).sureUntilMs;
  }

  era(partition: Partition): number {
    return this.#of(partition).era;
  }

  /** What was leased there so far is to be asked about. */
  endEra(partition: Partition): void {
    this.#of(partition).era += 1;
  }

  /** @throws QueueStoreError */
  async beat(partition: Partition): Promise<void> {
    const { conversation, owner } = this.#parts;
    const askedMs = this.#monotonicMs();
    const asked = { owner: owner.name, ownerTtlMs };
    const { reply } = await conversation.ask({ partition, script: 'beat', asked }, { repeatable: true });
    const known = this.#of(partition);
    const taken = String(reply[1] ?? '');
    // Heard too late, or after a standstill: by then we may have counted as dead. Or we did: our clock stood still with the machine, or the server's leapt.
    if (!this.sure(partition) || taken !== known.taken) this.endEra(partition);
    known.taken = taken;
    known.sureUntilMs = Math.max(known.sureUntilMs, askedMs + ownerTtlMs - marginMs);
  }

  /** Returns those that are no longer ours. @throws QueueStoreError: then nothing is known of any */
  async renew(tokens: readonly string[], leaseMs: number): Promise<readonly string[]> {
    const { conversation, partitions, owner } = this.#parts;
    const lost = new Set<string>();
    const byPartition = Map.groupBy(tokens, token => partitions[partitionOfToken(token) ?? -1]);
    for (const token of byPartition.get(undefined) ?? []) lost.add(token);
    await Promise.all(
      [...byPartition].map(async ([partition, its]) => {
        if (partition === undefined) return;
        if (!this.sure(partition)) await this.beat(partition);
        const asked = { owner: owner.name, ownerTtlMs, leaseMs, tokens: its };
        const { reply } = await conversation.ask({ partition, script: 'renew', asked }, { repeatable: true });
        for (const token of reply.slice(1)) lost.add(String(token));
      }),
    );
    return tokens.filter(token => lost.has(token));
  }

  #of(partition: Partition): Known {
    const known = this.#known.get(partition);
    if (known === undefined) throw new RangeError(`${partition.base} is no partition of this queue`);
    return known;
  }
}
