import type { DatabaseSync } from 'node:sqlite';
import { int, text } from './columns.ts';
import type { Memory } from './memory.ts';

/** The Waiting recipients of one tenant and destination that nobody leases, earliest first. */
export interface DueRecipients {
  unleased(
    tenant: string,
    destination: string,
    fromMs: number,
  ): Iterable<{ readonly id: string; readonly dueMs: number }>;
  /** `fromMs`: no earlier one is known to exist. That is what keeps a claim from reading over those that are leased. */
  earliest(tenant: string, destination: string, fromMs?: number): number | undefined;
}

export function createDueRecipients(db: DatabaseSync, memory: Memory): DueRecipients {
  const select = db.prepare(
    `SELECT id, idx, due FROM recipient INDEXED BY recipient_due
     WHERE state = 0 AND tenant = ? AND destination = ? AND due >= ? ORDER BY due`,
  );

  function* unleased(tenant: string, destination: string, fromMs: number): Generator<{ id: string; dueMs: number }> {
    for (const row of select.iterate(tenant, destination, fromMs)) {
      const id = text(row, 'id');
      if (!memory.isLeased(id, int(row, 'idx'))) yield { id, dueMs: int(row, 'due') };
    }
  }

  return {
    unleased,
    earliest(tenant, destination, fromMs = Number.MIN_SAFE_INTEGER) {
      for (const { dueMs } of unleased(tenant, destination, fromMs)) return dueMs;
      return undefined;
    },
  };
}
