/** Due recipients, in turns of tenants and destinations; and the end of leases that nobody renewed. */
import type { DatabaseSync } from 'node:sqlite';
import { bytes, damaged, int, type Row, text, textOrNull } from './columns.ts';
import type { Memory } from './memory.ts';
import type { Slot } from './ready-index.ts';
import type { Claimed, ClaimedMessage, ClaimedRecipient, ClaimOp } from './wire.ts';

/** Contents that one claim brings along, so that a claim of many large messages does not fill the memory at once. */
const claimBytes = 16 * 2 ** 20;

export interface Claiming {
  claim(op: ClaimOp, nowMs: number): Claimed;
  /** Leases that have run out: their recipients wait again, due now. */
  expire(nowMs: number): void;
}

interface Turn {
  readonly claimed: ClaimedMessage[];
  readonly nowMs: number;
  readonly leaseExpiry: number;
  recipients: number;
  bytes: number;
}

export function createClaiming(db: DatabaseSync, memory: Memory): Claiming {
  const selectDue = db.prepare(
    `SELECT id, due FROM recipient INDEXED BY recipient_due
     WHERE state = 0 AND tenant = ? AND destination = ? ORDER BY due LIMIT ?`,
  );
  const selectRecipients = db.prepare(
    `SELECT idx, seq, notify, attempts, delay_warned, domain, path, orcpt FROM recipient
     WHERE id = ? AND state = 0 AND destination = ? AND due <= ? ORDER BY idx LIMIT ?`,
  );
  const selectMessage = db.prepare(
    'SELECT id, tenant, policy, received, expiry, sender, size, file, head, content FROM message WHERE seq = ?',
  );
  const lease = db.prepare('UPDATE recipient SET state = 1 WHERE id = ? AND idx = ?');
  const unlease = db.prepare('UPDATE recipient SET state = 0, due = ? WHERE id = ? AND idx = ?');

  /** Leases what is due of one message for the slot's destination, `most` at most; returns how many that were. */
  function take(slot: Slot, id: string, most: number, turn: Turn): number {
    const { destination } = slot;
    const rows = selectRecipients.all(id, destination, turn.nowMs, most);
    const [first] = rows;
    if (first === undefined) return 0;
    const seq = int(first, 'seq');
    const message = selectMessage.get(seq) ?? damaged(`recipients of a message that is not there (${seq})`);
    const recipients = rows.map(row => toRecipient(row, destination));
    const indices = recipients.map(recipient => recipient.index);
    const claimed = toMessage(message, { token: memory.nextToken(), destination, recipients });
    const { token, file } = claimed;
    memory.putLease({
      token,
      id,
      seq,
      file,
      tenant: slot.tenant.name,
      destination,
      indices,
      expiryMs: turn.leaseExpiry,
    });
    for (const index of indices) lease.run(id, index);
    turn.claimed.push(claimed);
    turn.bytes += claimed.head.length + (claimed.content?.length ?? 0);
    return indices.length;
  }

  /** One turn of one slot: some `share` recipients, and those that belong to the same messages, but never more than `room`. */
  function visit(slot: Slot, share: number, room: number, turn: Turn): number {
    const tenant = slot.tenant.name;
    memory.touch(tenant, slot.destination);
    const due = selectDue
      .all(tenant, slot.destination, Math.min(share, room))
      .filter(row => int(row, 'due') <= turn.nowMs);
    let taken = 0;
    for (const id of new Set(due.map(row => text(row, 'id')))) {
      if (taken < room && turn.bytes < claimBytes) taken += take(slot, id, room - taken, turn);
    }
    const [following] = selectDue.all(tenant, slot.destination, 1);
    memory.ready.turned(slot, following === undefined ? undefined : int(following, 'due'), turn.nowMs);
    turn.recipients += taken;
    return taken;
  }

  return {
    claim({ limit, limitPerDestination, leaseMs }, nowMs) {
      const turn: Turn = { claimed: [], nowMs, leaseExpiry: nowMs + leaseMs, recipients: 0, bytes: 0 };
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
      return { leaseExpiry: turn.leaseExpiry, messages: turn.claimed };
    },

    expire(nowMs) {
      for (const expired of memory.expiredLeases(nowMs)) {
        for (const index of expired.indices) unlease.run(nowMs, expired.id, index);
        memory.dropLease(expired);
        memory.touch(expired.tenant, expired.destination);
        memory.ready.add(expired.tenant, expired.destination, nowMs);
        memory.counters.Leased -= expired.indices.length;
        memory.counters.Waiting += expired.indices.length;
      }
    },
  };
}

/** Asking for the next slot first makes those ready that have become due. */
function countTenants(memory: Memory, nowMs: number): number {
  memory.ready.next(nowMs);
  return memory.ready.readyTenants;
}

function toRecipient(row: Row, destination: string): ClaimedRecipient {
  const orcpt = textOrNull(row, 'orcpt');
  return {
    index: int(row, 'idx'),
    path: text(row, 'path'),
    domain: text(row, 'domain'),
    destination,
    notify: int(row, 'notify'),
    attempts: int(row, 'attempts'),
    delayWarned: int(row, 'delay_warned') === 1,
    ...(orcpt === null ? {} : { orcpt }),
  };
}

function toMessage(row: Row, lease: Pick<ClaimedMessage, 'token' | 'destination' | 'recipients'>): ClaimedMessage {
  const file = textOrNull(row, 'file');
  return {
    ...lease,
    id: text(row, 'id'),
    tenant: text(row, 'tenant'),
    policy: textOrNull(row, 'policy'),
    received: int(row, 'received'),
    expiry: int(row, 'expiry'),
    sender: text(row, 'sender'),
    size: int(row, 'size'),
    file,
    head: bytes(row, 'head'),
    content: file === null ? bytes(row, 'content') : undefined,
  };
}
