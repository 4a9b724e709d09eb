/**
 * What keeps leases: signs that their owner lives, four in the time after which it counts as dead, and renewals. Whoever stood still for that
 * long, or could not be heard, must ask before it delivers what it holds: others may have it by now. So an era ends there; saying again that we
 * live begins another, and does not bring back what was taken over meanwhile. An era ends with a connection, too: the server behind the next may
 * be one that never heard of the last leases (a failover, or a restart without the last second).
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

/** For a delivery to begin before the time is over. */
const marginMs = 500;

export class Life {
  readonly #parts: LifeParts;
  readonly #monotonicMs: () => number;
  #sureUntilMs: number;
  #era = 0;
  /** By partition: when leases were taken from us last. */
  readonly #taken = new Map<Partition, string>();

  constructor(parts: LifeParts) {
    this.#parts = parts;
    this.#monotonicMs = parts.monotonicMs ?? (() => performance.now());
    // Nothing can be leased before now, and each lease is a sign of life.
    this.#sureUntilMs = this.#monotonicMs() + ownerTtlMs - marginMs;
  }

  /** Nobody can have taken over what was leased in this era and not settled. */
  get sure(): boolean {
    return this.#monotonicMs() < this.#sureUntilMs;
  }

  get era(): number {
    return this.#era;
  }

  /** What was leased so far is to be asked about. */
  endEra(): void {
    this.#era += 1;
  }

  /** @throws QueueStoreError */
  async beat(): Promise<void> {
    const { conversation, partitions, owner } = this.#parts;
    const askedMs = this.#monotonicMs();
    const asked = { owner: owner.name, ownerTtlMs };
    const answers = await Promise.all(
      partitions.map(async partition => {
        const { reply } = await conversation.ask({ partition, script: 'beat', asked }, { repeatable: true });
        return { partition, taken: String(reply[1] ?? '') };
      }),
    );
    const lost = answers.filter(({ partition, taken }) => taken !== (this.#taken.get(partition) ?? ''));
    for (const { partition, taken } of lost) this.#taken.set(partition, taken);
    // Heard too late, or after a standstill: by then we may have counted as dead. Or we did: our clock stood still with the machine, or the server's leapt.
    if (!this.sure || lost.length > 0) this.endEra();
    this.#sureUntilMs = Math.max(this.#sureUntilMs, askedMs + ownerTtlMs - marginMs);
  }

  /** Returns those that are no longer ours. @throws QueueStoreError */
  async renew(tokens: readonly string[], leaseMs: number): Promise<readonly string[]> {
    if (!this.sure) await this.beat();
    const { conversation, partitions, owner } = this.#parts;
    const lost = new Set<string>();
    const byPartition = Map.groupBy(tokens, token => partitions[partitionOfToken(token) ?? -1]);
    for (const token of byPartition.get(undefined) ?? []) lost.add(token);
    await Promise.all(
      [...byPartition].map(async ([partition, its]) => {
        if (partition === undefined) return;
        const asked = { owner: owner.name, ownerTtlMs, leaseMs, tokens: its };
        const { reply } = await conversation.ask({ partition, script: 'renew', asked }, { repeatable: true });
        for (const token of reply.slice(1)) lost.add(String(token));
      }),
    );
    return tokens.filter(token => lost.has(token));
  }
}
