/** The queue as one would describe it to a colleague: lists in memory, no disk, no fairness. */
import type { Claim, NewMessage, Outcome, RecipientState } from '../../../relay/queue/queue.ts';

interface Recipient {
  readonly key: string;
  readonly tenant: string;
  readonly destination: string;
  state: RecipientState;
  dueMs: number;
  attempts: number;
}

interface Lease {
  readonly claim: Claim;
  readonly left: Set<number>;
  expiryMs: number;
}

export class Model {
  readonly recipients = new Map<string, Recipient>();
  readonly leases: Lease[] = [];
  readonly totals = { accepted: 0, delivered: 0, failed: 0, discarded: 0 };
  readonly #suspended = new Map<string, number>();

  enqueue(message: NewMessage, nowMs: number): void {
    for (const [index, { destination }] of message.recipients.entries()) {
      const key = keyOf(message.id, index);
      const { tenant } = message;
      this.recipients.set(key, { key, tenant, destination, state: 'Waiting', dueMs: nowMs, attempts: 0 });
      this.totals.accepted += 1;
    }
  }

  /** Returns what is wrong with giving this claim. */
  lease(claim: Claim, nowMs: number): string | undefined {
    for (const { index, attempts } of claim.recipients) {
      const recipient = this.recipients.get(keyOf(claim.message.id, index));
      if (recipient?.state !== 'Waiting') return `${claim.message.id} ${index} is ${recipient?.state ?? 'gone'}`;
      if (recipient.dueMs > nowMs) return `${recipient.key} is not due`;
      if (recipient.attempts !== attempts)
        return `${recipient.key} was tried ${recipient.attempts} times, not ${attempts}`;
      recipient.state = 'Leased';
    }
    const left = new Set(claim.recipients.map(({ index }) => index));
    this.leases.push({ claim, left, expiryMs: claim.leaseExpiryTimeMs });
    return undefined;
  }

  claimable(nowMs: number): Recipient[] {
    return [...this.recipients.values()].filter(
      recipient => recipient.state === 'Waiting' && this.#wakeMs(recipient) <= nowMs,
    );
  }

  nextDueTimeMs(nowMs: number): number | undefined {
    if (this.claimable(nowMs).length > 0) return nowMs;
    const waiting = [...this.recipients.values()].filter(({ state }) => state === 'Waiting');
    const times = [
      ...waiting.map(recipient => this.#wakeMs(recipient)),
      ...this.leases.map(({ expiryMs }) => expiryMs),
    ];
    // A lease that has run out is taken back by the next claim, so there is something to claim now.
    return times.length === 0 ? undefined : Math.max(nowMs, Math.min(...times));
  }

  settle(lease: Lease, outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) this.#settleOne(lease, outcome);
    if (lease.left.size === 0) this.leases.splice(this.leases.indexOf(lease), 1);
  }

  #settleOne({ claim, left }: Lease, outcome: Outcome): void {
    left.delete(outcome.index);
    const recipient = this.#get(keyOf(claim.message.id, outcome.index));
    if (outcome.result === 'Deferred') {
      recipient.state = 'Waiting';
      recipient.dueMs = outcome.nextAttemptTimeMs;
      recipient.attempts += outcome.attempted ? 1 : 0;
      return;
    }
    this.recipients.delete(recipient.key);
    if (outcome.result === 'Delivered') this.totals.delivered += 1;
    else if (outcome.result === 'Failed') this.totals.failed += 1;
    else this.totals.discarded += 1;
  }

  /** What a claim does first. */
  expire(nowMs: number): void {
    for (const lease of this.leases.filter(({ expiryMs }) => expiryMs <= nowMs)) this.#unlease(lease, nowMs);
  }

  crash(nowMs: number): void {
    for (const lease of [...this.leases]) this.#unlease(lease, nowMs);
    this.#suspended.clear();
  }

  suspend(destination: string, untilMs: number): void {
    this.#suspended.set(destination, untilMs);
  }

  /** Returns how many. */
  move(from: RecipientState, to: RecipientState, tenant: string | undefined, nowMs: number): number {
    let moved = 0;
    for (const recipient of this.recipients.values()) {
      if (recipient.state !== from || (tenant !== undefined && recipient.tenant !== tenant)) continue;
      recipient.state = to;
      if (to === 'Waiting') recipient.dueMs = Math.min(nowMs, from === 'Held' ? nowMs : recipient.dueMs);
      moved += 1;
    }
    return moved;
  }

  depth(): Record<RecipientState, number> {
    const depth = { Waiting: 0, Leased: 0, Held: 0 };
    for (const { state } of this.recipients.values()) depth[state] += 1;
    return depth;
  }

  #unlease(lease: Lease, nowMs: number): void {
    this.leases.splice(this.leases.indexOf(lease), 1);
    for (const index of lease.left) {
      const recipient = this.#get(keyOf(lease.claim.message.id, index));
      recipient.state = 'Waiting';
      recipient.dueMs = Math.min(recipient.dueMs, nowMs);
    }
  }

  #wakeMs({ dueMs, destination }: Recipient): number {
    return Math.max(dueMs, this.#suspended.get(destination) ?? 0);
  }

  #get(key: string): Recipient {
    const recipient = this.recipients.get(key);
    if (recipient === undefined) throw new Error(`The model has lost ${key}.`);
    return recipient;
  }
}

export function keyOf(id: string, index: number): string {
  return `${id} ${index}`;
}
