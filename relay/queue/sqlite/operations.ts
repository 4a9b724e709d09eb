/** Every operation on one open database, by name. Runs inside a transaction that somebody else begins and commits. */
import { statfsSync } from 'node:fs';
import { QueueFullError } from '../queue.ts';
import { createAdministration } from './admin.ts';
import { createClaiming } from './claim.ts';
import type { Database } from './database.ts';
import { createDueRecipients } from './due.ts';
import { createEnqueue } from './enqueue.ts';
import type { Memory } from './memory.ts';
import { lastSeq } from './recover.ts';
import { createSettling } from './settle.ts';
import type { Answer, Op } from './wire.ts';

/** What a batch brings to each of its operations. */
export interface Circumstances {
  readonly bytes: Uint8Array;
  readonly nowMs: number;
  readonly minFreeBytes: number;
}

export interface Operations {
  execute(op: Op, circumstances: Circumstances): Answer;
  /** What a transaction writes once, before its commit. */
  saveTotals(): void;
  /** The transaction that saved them was rolled back. */
  forgetSavedTotals(): void;
  /** Of a slot, as the database has it. */
  earliestDue(tenant: string, destination: string): number | undefined;
}

export function createOperations({ db, upkeep }: Database, memory: Memory, dataDir: string): Operations {
  const enqueue = createEnqueue(db, memory, lastSeq(db));
  const due = createDueRecipients(db, memory);
  const claiming = createClaiming(db, memory, due);
  const settling = createSettling(db, memory, enqueue);
  const admin = createAdministration(db, memory, due);
  const probe = db.prepare('UPDATE totals SET probes = probes + 1');
  const update = db.prepare('UPDATE totals SET accepted = ?, delivered = ?, failed = ?, discarded = ?');
  let saved = '';

  let looked: Circumstances | undefined;
  let freeBytes = 0;

  /** Looks at the disk once a batch. */
  function mayGrow(circumstances: Circumstances): void {
    if (looked !== circumstances) {
      const { bavail, bsize } = statfsSync(dataDir);
      freeBytes = bavail * bsize;
      looked = circumstances;
    }
    if (upkeep.stuck) throw new QueueFullError('The queue has no room: the disk is full.');
    if (freeBytes < circumstances.minFreeBytes)
      throw new QueueFullError('The queue has no room: the disk is nearly full.');
  }

  function nextDue(nowMs: number): number | undefined {
    const ready = memory.ready.nextDueTimeMs(nowMs);
    const lease = memory.earliestLeaseExpiry();
    if (ready === undefined) return lease;
    return lease === undefined ? ready : Math.min(ready, lease);
  }

  return {
    execute(op, circumstances) {
      const { bytes, nowMs } = circumstances;
      switch (op.op) {
        case 'enqueue':
          mayGrow(circumstances);
          return enqueue(op, bytes, nowMs) ?? undefined;
        case 'settle':
          return settling.settle(op, bytes, nowMs) ?? undefined;
        case 'claim':
          return claiming.claim(op, nowMs);
        case 'nextDue':
          return nextDue(nowMs);
        case 'suspend':
          return memory.ready.suspend(op.destination, op.untilMs, nowMs) ?? undefined;
        case 'renew':
          return settling.renew(op.tokens, nowMs + op.leaseMs);
        case 'move':
          return admin.move(op.move, op.scan, nowMs);
        case 'count':
          return admin.count(op.scan);
        case 'list':
          return admin.list(op.scan, op.limit);
        case 'stats':
          return admin.stats(nowMs);
        case 'probe':
          mayGrow(circumstances);
          probe.run();
          return undefined;
      }
    },

    saveTotals() {
      const { accepted, delivered, failed, discarded } = memory.counters;
      const wanted = `${accepted} ${delivered} ${failed} ${discarded}`;
      if (wanted === saved) return;
      update.run(accepted, delivered, failed, discarded);
      saved = wanted;
    },

    forgetSavedTotals() {
      saved = '';
    },

    earliestDue: (tenant, destination) => due.earliest(tenant, destination),
  };
}
