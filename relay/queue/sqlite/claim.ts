/**
 * Due recipients, in turns of tenants and destinations; and the end of leases that nobody renewed. A claim only reads: marking
 * 100 recipients of 100 destinations as leased would write 200 pages for something that a crash undoes anyway.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { DueRecipient, DueRecipients, StoredMessage, StoredRecipient } from './due.ts';
import type { Lease, Memory } from './memory.ts';
import type { Slot } from './ready-index.ts';
import type { Claimed, ClaimedMessage, ClaimOp } from './wire.ts';

/** Contents that one claim brings along, so that a claim of many large messages does not fill the memory at once. */
const claimBytes = 16 * 2 ** 20;

export interface Claiming {
  claim(op: ClaimOp, nowMs: number): Claimed;
}

interface Turn {
  readonly claimed: ClaimedMessage[];
  readonly pieces: Uint8Array<ArrayBuffer>[];
  readonly nowMs: number;
  readonly leaseExpiry: number;
  recipients: number;
  bytes: number;
}

export function createClaiming(db: DatabaseSync, memory: Memory, due: DueRecipients): Claiming {
  const unlease = db.prepare('UPDATE recipient SET state = 0, due = ? WHERE id = ? AND idx = ?');

  function lease(
    slot: Slot,
    { seq, message, bytes }: StoredMessage,
    its: readonly StoredRecipient[],
    turn: Turn,
  ): void {
    const { destination } = slot;
    const { id, file } = message;
    const token = memory.nextToken();
    const recipients = its.map(({ recipient }) => recipient);
    const dueMs = Math.min(...its.map(recipient => recipient.dueMs));
    const what = { token, id, seq, file, tenant: slot.tenant.name, destination };
    const indices = recipients.map(({ index }) => index);
    memory.putLease({ ...what, indices, dueMs, expiryMs: turn.leaseExpiry, onDisk: false });
    turn.claimed.push({ ...message, token, due: dueMs, destination, recipients });
    turn.pieces.push(bytes);
    turn.bytes += bytes.length;
  }

  /** Leases what is due of one message for the slot's destination, `most` at most; returns how many that were. */
  function take(slot: Slot, found: DueRecipient, most: number, turn: Turn): number {
    if (found.lone !== undefined) {
      lease(slot, found.lone, [found], turn);
      return 1;
    }
    const { message, recipients } = due.ofMessage(found.id, slot.destination, turn.nowMs);
    const its = recipients.length > most ? withFound(found, recipients).slice(0, most) : recipients;
    lease(slot, message, its, turn);
    return its.length;
  }

  /** One turn of one slot: some `share` recipients, and those that belong to the same messages, but never more than `room`. */
  function visit(slot: Slot, share: number, room: number, turn: Turn): number {
    const { nowMs } = turn;
    const most = Math.min(share, room);
    memory.touch(slot.tenant.name, slot.destination);
    let taken = 0;
    let nextMs: number | undefined;
    for (const found of due.unleased(slot, slot.dueMs, nowMs)) {
      if (found.dueMs > nowMs || taken >= most || turn.bytes >= claimBytes) {
        nextMs = found.dueMs;
        break;
      }
      taken += take(slot, found, room - taken, turn);
    }
    memory.ready.turned(slot, nextMs, nowMs);
    turn.recipients += taken;
    return taken;
  }

  /** Its recipients wait again; returns since when they are due. */
  function returned({ id, indices, dueMs, onDisk }: Lease, nowMs: number): number {
    if (!onDisk) return dueMs;
    for (const index of indices) unlease.run(nowMs, id, index);
    return nowMs;
  }

  /**
   * Leases that have run out: their recipients wait again, due now. Only a claim takes them back, so that an owner who was stopped,
   * or whose clock was set, can still settle or renew what it is about to.
   */
  function expire(nowMs: number): void {
    for (const expired of memory.expiredLeases(nowMs)) {
      memory.dropLease(expired);
      memory.touch(expired.tenant, expired.destination);
      memory.ready.add(expired.tenant, expired.destination, returned(expired, nowMs));
      memory.counters.Leased -= expired.indices.length;
      memory.counters.Waiting += expired.indices.length;
    }
  }

  return {
    claim({ limit, limitPerDestination, leaseMs }, nowMs) {
      expire(nowMs);
      const turn: Turn = { claimed: [], pieces: [], nowMs, leaseExpiry: nowMs + leaseMs, recipients: 0, bytes: 0 };
      const given = new Map<string, number>();
      const aside: Slot[] = [];
      const share = Math.ceil(Math.min(limit, limitPerDestination) / Math.max(1, countTenants(memory, nowMs)));
      while (turn.recipients < limit && turn.bytes < claimBytes) {
        const slot = memory.ready.next(nowMs);
        if (slot === undefined) break;
        const had = given.get(slot.destination) ?? 0;
        const room = Math.min(limit - turn.recipients, limitPerDestination - had);
        if (room > 0) given.set(slot.destination, had + visit(slot, share, room, turn));
        else {
          memory.touch(slot.tenant.name, slot.destination);
          memory.ready.setAside(slot);
          aside.push(slot);
        }
      }
      memory.ready.restore(aside);
      memory.counters.Waiting -= turn.recipients;
      memory.counters.Leased += turn.recipients;
      return { leaseExpiry: turn.leaseExpiry, messages: JSON.stringify(turn.claimed), pieces: turn.pieces };
    },
  };
}

/** First the one that was found: the slot is read on from there, so that it would not be found again. Those behind it will be. */
function withFound({ recipient: { index } }: DueRecipient, all: readonly StoredRecipient[]): StoredRecipient[] {
  const isFound = (one: StoredRecipient): boolean => one.recipient.index === index;
  return [...all.filter(isFound), ...all.filter(one => !isFound(one))];
}

/** Asking for the next slot first makes those ready that have become due. */
function countTenants(memory: Memory, nowMs: number): number {
  memory.ready.next(nowMs);
  return memory.ready.readyTenants;
}
