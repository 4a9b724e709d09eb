/**
 * What a claim reads. Most messages have one recipient, and then all that a claim wants to know comes with the row that says it is
 * due: one statement for a destination, however many of its messages are claimed.
 */
import type { DatabaseSync } from 'node:sqlite';
import { bytesOf, type Cells, cellsOf, damaged, intOf, textOf, textOrNullOf } from './columns.ts';
import type { Memory } from './memory.ts';
import type { ClaimedMessage, ClaimedRecipient } from './wire.ts';

/** A message without the lease that it gets. */
export interface StoredMessage {
  readonly seq: number;
  readonly message: Omit<ClaimedMessage, 'token' | 'due' | 'destination' | 'recipients'>;
  /** Head, and behind it the content, when that is not a file. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface StoredRecipient {
  readonly dueMs: number;
  readonly recipient: ClaimedRecipient;
}

export interface DueRecipient extends StoredRecipient {
  readonly id: string;
  /** When it is due and the message has no other recipient, now or later. */
  readonly lone: StoredMessage | undefined;
}

export interface DueRecipients {
  /**
   * The Waiting recipients of one tenant and destination that nobody leases, earliest first, those that are not due yet behind the
   * others. What is leased while they are read is left out from there on. `fromMs`: no earlier one is known to exist. That is what
   * keeps a claim from reading over those that are leased.
   */
  unleased(slot: SlotName, fromMs: number, nowMs: number): Iterable<DueRecipient>;
  /** Those of one message that are due; never none. */
  ofMessage(id: string, destination: string, nowMs: number): { message: StoredMessage; recipients: StoredRecipient[] };
  earliest(tenant: string, destination: string): number | undefined;
}

interface SlotName {
  readonly tenant: { readonly name: string };
  readonly destination: string;
}

const recipientColumns = 'r.idx, r.due, r.notify, r.attempts, r.delay_warned, r.domain, r.path, r.orcpt';
const messageColumns =
  'm.seq, m.id, m.tenant, m.policy, m.received, m.expiry, m.sender, m.size, m.file, length(m.head)';
/** One value, so that one buffer goes over to the main thread. Joining blobs gives text of the same bytes. */
const messageBytes = `CAST(m.head || ifnull(m.content, '') AS BLOB)`;
const inLine = 'r.state = 0 AND r.tenant = ? AND r.destination = ?';

export function createDueRecipients(db: DatabaseSync, memory: Memory): DueRecipients {
  const cells = { returnArrays: true };
  const isLone = 'NOT EXISTS (SELECT 1 FROM recipient o WHERE o.id = r.id AND o.idx <> r.idx)';
  const selectDue = db.prepare(
    `SELECT r.id, ${recipientColumns}, CASE WHEN r.due <= ? AND ${isLone} THEN ${messageBytes} END, ${messageColumns}
     FROM recipient r INDEXED BY recipient_due LEFT JOIN message m ON m.seq = r.seq
     WHERE ${inLine} AND r.due >= ? ORDER BY r.due`,
    cells,
  );
  const selectRecipients = db.prepare(
    `SELECT r.seq, ${recipientColumns} FROM recipient r
     WHERE r.id = ? AND r.state = 0 AND r.destination = ? AND r.due <= ? ORDER BY r.idx`,
    cells,
  );
  const selectMessage = db.prepare(`SELECT ${messageBytes}, ${messageColumns} FROM message m WHERE m.seq = ?`, cells);
  const selectEarliest = db.prepare(
    `SELECT r.id, r.idx, r.due FROM recipient r INDEXED BY recipient_due WHERE ${inLine} ORDER BY r.due`,
    cells,
  );

  return {
    *unleased({ tenant, destination }, fromMs, nowMs) {
      for (const row of selectDue.iterate(nowMs, tenant.name, destination, fromMs)) {
        const [idCell, ...rest] = cellsOf(row);
        const id = textOf(idCell, 'id');
        if (memory.isLeased(id, intOf(rest[0], 'idx'))) continue;
        const lone = rest[8] === null ? undefined : toMessage(rest.slice(8));
        yield { id, ...toRecipient(rest, destination), lone };
      }
    },

    ofMessage(id, destination, nowMs) {
      const rows = selectRecipients.all(id, destination, nowMs).map(cellsOf);
      const seq = rows[0]?.[0] ?? damaged('a recipient is in line and not in its table');
      const message = selectMessage.get(seq) ?? damaged(`recipients of a message that is not there (${seq})`);
      const recipients = rows.map(([, ...recipient]) => toRecipient(recipient, destination));
      return {
        message: toMessage(cellsOf(message)),
        recipients: recipients.filter(({ recipient }) => !memory.isLeased(id, recipient.index)),
      };
    },

    earliest(tenant, destination) {
      for (const row of selectEarliest.iterate(tenant, destination)) {
        const [id, index, due] = cellsOf(row);
        if (!memory.isLeased(textOf(id, 'id'), intOf(index, 'idx'))) return intOf(due, 'due');
      }
      return undefined;
    },
  };
}

function toRecipient(
  [index, due, notify, attempts, delayWarned, domain, path, orcpt]: Cells,
  destination: string,
): StoredRecipient {
  const original = textOrNullOf(orcpt, 'orcpt');
  return {
    dueMs: intOf(due, 'due'),
    recipient: {
      index: intOf(index, 'idx'),
      path: textOf(path, 'path'),
      domain: textOf(domain, 'domain'),
      destination,
      notify: intOf(notify, 'notify'),
      attempts: intOf(attempts, 'attempts'),
      delayWarned: intOf(delayWarned, 'delay_warned') === 1,
      ...(original === null ? {} : { orcpt: original }),
    },
  };
}

function toMessage(row: Cells): StoredMessage {
  const [bytes, seq, id, tenant, policy, received, expiry, sender, size, file, headBytes] = row;
  return {
    seq: intOf(seq, 'seq'),
    message: {
      id: textOf(id, 'id'),
      tenant: textOf(tenant, 'tenant'),
      policy: textOrNullOf(policy, 'policy'),
      received: intOf(received, 'received'),
      expiry: intOf(expiry, 'expiry'),
      sender: textOf(sender, 'sender'),
      size: intOf(size, 'size'),
      file: textOrNullOf(file, 'file'),
      headBytes: intOf(headBytes, 'head'),
    },
    bytes: bytesOf(bytes, 'head'),
  };
}
