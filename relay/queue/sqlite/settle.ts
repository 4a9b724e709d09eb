import type { DatabaseSync } from 'node:sqlite';
import type { Outcome } from '../queue.ts';
import { LeaseLostError } from '../queue.ts';
import { type Enqueue, refuseWithoutRecipients } from './enqueue.ts';
import type { Lease, Memory } from './memory.ts';
import type { SettleOp } from './wire.ts';

export interface Settling {
  settle(op: SettleOp, bytes: Uint8Array, nowMs: number): void;
  /** Returns the tokens that are no longer leases. */
  renew(tokens: readonly number[], expiryMs: number): number[];
}

export function createSettling(db: DatabaseSync, memory: Memory, enqueue: Enqueue): Settling {
  const remove = db.prepare('DELETE FROM recipient WHERE id = ? AND idx = ?');
  const anyLeft = db.prepare('SELECT 1 FROM recipient WHERE id = ? LIMIT 1');
  const removeMessage = db.prepare('DELETE FROM message WHERE seq = ?');
  const defer = db.prepare(
    `UPDATE recipient SET state = 0, due = ?, attempts = attempts + ?, reason = ?, reply = ?,
       delay_warned = max(delay_warned, ?) WHERE id = ? AND idx = ?`,
  );
  const totalOf = { Delivered: 'delivered', Failed: 'failed', Discarded: 'discarded' } as const;

  /** Returns whether the recipient is gone. */
  function apply(lease: Lease, outcome: Outcome): boolean {
    memory.counters.Leased -= 1;
    if (outcome.result !== 'Deferred') {
      remove.run(lease.id, outcome.index);
      memory.counters[totalOf[outcome.result]] += 1;
      return true;
    }
    const { index, attempted, reason, reply, nextAttemptTimeMs, delayWarned } = outcome;
    const json = reply === undefined ? null : JSON.stringify(reply);
    defer.run(nextAttemptTimeMs, attempted ? 1 : 0, reason, json, delayWarned ? 1 : 0, lease.id, index);
    memory.counters.Waiting += 1;
    memory.touch(lease.tenant, lease.destination);
    memory.ready.add(lease.tenant, lease.destination, nextAttemptTimeMs);
    return false;
  }

  return {
    settle({ token, id, outcomes, messages }, bytes, nowMs) {
      const lease = memory.leaseOf(token, id);
      const leased = unsettled(lease, outcomes);
      for (const message of messages) refuseWithoutRecipients(message);
      let gone = false;
      for (const outcome of outcomes) gone = apply(lease, outcome) || gone;
      if (gone && anyLeft.get(id) === undefined) {
        removeMessage.run(lease.seq);
        memory.doom(lease.file);
      }
      if (leased.length === 0) memory.dropLease(lease);
      else memory.putLease({ ...lease, indices: leased });
      for (const message of messages) enqueue({ message }, bytes, nowMs);
    },

    renew(tokens, expiryMs) {
      const lost: number[] = [];
      for (const token of tokens) {
        const lease = memory.lease(token);
        if (lease === undefined) lost.push(token);
        else memory.putLease({ ...lease, expiryMs });
      }
      return lost;
    },
  };
}

/** What stays leased. An outcome for a recipient that the lease does not hold (any more) refuses the whole settlement. */
function unsettled(lease: Lease, outcomes: readonly Outcome[]): readonly number[] {
  const left = new Set(lease.indices);
  for (const { index } of outcomes) {
    if (!left.delete(index)) throw new LeaseLostError(`Recipient ${index} of the message is not under this lease.`);
  }
  return left.size === 0 ? [] : [...left];
}
