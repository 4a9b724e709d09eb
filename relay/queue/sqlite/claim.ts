/**
 * Due recipients, in turns of tenants and destinations; and the end of leases that nobody renewed. A claim only reads: marking
 * 100 recipients of 100 destinations as leased would write 200 pages for something that a crash undoes anyway.
 */
import type { DatabaseSync } from 'node:sqlite';
import { bytes, damaged, int, type Row, text, textOrNull } from './columns.ts';
import type { DueRecipients } from './due.ts';
import type { Lease, Memory } from './memory.ts';
import type { Slot } from './ready-index.ts';
import type { Claimed, ClaimedMessage, ClaimedRecipient, ClaimOp } from './wire.ts';

/** Contents that one claim brings along, so that a claim of many large messages does not fill the memory at once. */
const claimBytes = 16 * 2 ** 20;

export interface Claiming {
  claim(op: ClaimOp, nowMs: number): Claimed;
}

interface Turn {
  readonly claimed: ClaimedMessage[];
  readonly nowMs: number;
  readonly leaseExpiry: number;
  recipients: number;
  bytes: number;
}

export function createClaiming(db: DatabaseSync, memory: Memory, due: DueRecipients): Claiming {
  const selectRecipients = db.prepare(
    `SELECT idx, seq, due, notify, attempts, delay_warned, domain, path, orcpt FROM recipient
     WHERE id = ? AND state = 0 AND destination = ? AND due <= ? ORDER BY idx`,
  );
  const selectMessage = db.prepare(
    'SELECT id, tenant, policy, received, expiry, sender, size, file, head, content FROM message WHERE seq = ?',
  );
  const unlease = db.prepare('UPDATE recipient SET state = 0, due = ? WHERE id = ? AND idx = ?');

  /** Leases what is due of one message for the slot's destination, `most` at most; returns how many that were. */
  function take(slot: Slot, id: string, most: number, turn: Turn): number {
    const { destination } = slot;
    const all = selectRecipients.all(id, destination, turn.nowMs);
    const rows = all.filter(row => !memory.isLeased(id, int(row, 'idx'))).slice(0, most);
    const [first] = rows;
    if (first === undefined) return 0;
    const seq = int(first, 'seq');
    const message = selectMessage.get(seq) ?? damaged(`recipients of a message that is not there (${seq})`);
    const recipients = rows.map(row => toRecipient(row, destination));
    const indices = recipients.map(recipient => recipient.index);
    const dueMs = Math.min(...rows.map(row => int(row, 'due')));
    const claimed = toMessage(message, { token: memory.nextToken(), due: dueMs, destination, recipients });
    const { token, file } = claimed;
    const what = { token, id, seq, file, tenant: slot.tenant.name, destination, indices };
    memory.putLease({ ...what, dueMs, expiryMs: turn.leaseExpiry, onDisk: false });
    turn.claimed.push(claimed);
    turn.bytes += claimed.head.length + (claimed.content?.length ?? 0);
    return indices.length;
  }

  /** The messages of the slot's first `most` due recipients. */
  function firstDue(slot: Slot, most: number, nowMs: number): Set<string> {
    const ids = new Set<string>();
    let seen = 0;
    for (const { id, dueMs } of due.unleased(slot.tenant.name, slot.destination, slot.dueMs)) {
      if (dueMs > nowMs) break;
      ids.add(id);
      seen += 1;
      if (seen === most) break;
    }
    return ids;
  }

  /** One turn of one slot: some `share` recipients, and those that belong to the same messages, but never more than `room`. */
  function visit(slot: Slot, share: number, room: number, turn: Turn): number {
    const tenant = slot.tenant.name;
    memory.touch(tenant, slot.destination);
    let taken = 0;
    for (const id of firstDue(slot, Math.min(share, room), turn.nowMs)) {
      if (taken < room && turn.bytes < claimBytes) taken += take(slot, id, room - taken, turn);
    }
    memory.ready.turned(slot, due.earliest(tenant, slot.destination, slot.dueMs), turn.nowMs);
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

function toMessage(
  row: Row,
  lease: Pick<ClaimedMessage, 'token' | 'due' | 'destination' | 'recipients'>,
): ClaimedMessage {
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
