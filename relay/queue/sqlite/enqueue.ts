import type { DatabaseSync } from 'node:sqlite';
import { QueueStoreError } from './errors.ts';
import type { Memory } from './memory.ts';
import { stateNumber } from './schema.ts';
import type { EnqueueOp, MessageRow } from './wire.ts';

/** Born Waiting and due now, or Leased. */
export type Enqueue = (op: Omit<EnqueueOp, 'op'>, bytes: Uint8Array, nowMs: number) => void;

export function createEnqueue(db: DatabaseSync, memory: Memory, firstSeq: number): Enqueue {
  const insertMessage = db.prepare(
    `INSERT INTO message (seq, id, tenant, policy, received, expiry, sender, size, file, head, content)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertRecipient = db.prepare(
    `INSERT INTO recipient (id, idx, seq, state, due, received, notify, tenant, domain, destination, path, orcpt)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  let seq = firstSeq;

  function putMessage(message: MessageRow, bytes: Uint8Array): void {
    const { id, tenant, policy, received, expiry, sender, size, file, at, headBytes, contentBytes } = message;
    const contentAt = at + headBytes;
    const head = bytes.subarray(at, contentAt);
    const content = file === null ? bytes.subarray(contentAt, contentAt + contentBytes) : null;
    seq += 1;
    insertMessage.run(seq, id, tenant, policy, received, expiry, sender, size, file, head, content);
  }

  return ({ message, tokens, leaseExpiry }, bytes, nowMs) => {
    refuseWithoutRecipients(message);
    putMessage(message, bytes);
    const { id, tenant, received, recipients } = message;
    const state = tokens === undefined ? stateNumber.Waiting : stateNumber.Leased;
    for (const [index, { notify, domain, destination, path, orcpt = null }] of recipients.entries()) {
      insertRecipient.run(id, index, seq, state, nowMs, received, notify, tenant, domain, destination, path, orcpt);
      if (tokens !== undefined) continue;
      memory.touch(tenant, destination);
      memory.ready.add(tenant, destination, nowMs);
    }
    memory.counters.accepted += recipients.length;
    if (tokens === undefined) {
      memory.counters.Waiting += recipients.length;
      return;
    }
    memory.counters.Leased += recipients.length;
    for (const [destination, token] of Object.entries(tokens)) {
      const indices = recipients.flatMap((recipient, index) => (recipient.destination === destination ? [index] : []));
      memory.putLease({
        token,
        id,
        seq,
        file: message.file,
        tenant,
        destination,
        indices,
        dueMs: nowMs,
        expiryMs: leaseExpiry ?? nowMs,
        onDisk: true,
      });
    }
  };
}

/** Such a message would never be gone. To be asked before anything is written. @throws QueueStoreError */
export function refuseWithoutRecipients({ recipients }: MessageRow): void {
  if (recipients.length > 0) return;
  throw new QueueStoreError('POSTROAD_QUEUE_REFUSED', 'A message without recipients cannot be queued.');
}
