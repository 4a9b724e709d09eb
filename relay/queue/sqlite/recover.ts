/**
 * From what is on disk to what the worker knows in memory: ends the leases of the former owner, counts, and fills the index of
 * who is ready. Reads the recipient table and recipient_due once, whole; contents are not touched.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { cellsOf, damaged, int, intOf, textOf } from './columns.ts';
import { type Counters, Memory } from './memory.ts';
import type { SlotAtStart } from './ready-index.ts';
import { stateNumber } from './schema.ts';
import { spoolFolder } from './wire.ts';

export function recover(db: DatabaseSync, nowMs: number): Memory {
  const counters = readCounters(db);
  if (counters.Leased > 0) {
    // A lease dies with the process that held it. What it was doing is unknown: it is done again (G2).
    db.prepare('UPDATE recipient SET state = 0, due = ? WHERE state = 1').run(nowMs);
    counters.Waiting += counters.Leased;
    counters.Leased = 0;
  }
  const memory = new Memory(counters);
  const select = db.prepare(
    `SELECT tenant, destination, min(due), count(*) FROM recipient INDEXED BY recipient_due
     WHERE state = 0 GROUP BY tenant, destination`,
    { returnArrays: true },
  );
  let waiting = 0;
  function* slots(): Generator<SlotAtStart> {
    for (const row of select.iterate()) {
      const [tenant, destination, due, count] = cellsOf(row);
      waiting += intOf(count, 'count');
      yield {
        tenant: textOf(tenant, 'tenant'),
        destination: textOf(destination, 'destination'),
        dueMs: intOf(due, 'due'),
      };
    }
  }
  // The due ones stand in line at once, which the first claim would otherwise wait for.
  memory.ready.fill(slots(), nowMs);
  if (waiting !== counters.Waiting) damaged(`${counters.Waiting} recipients wait, but ${waiting} are in line`);
  return memory;
}

function readCounters(db: DatabaseSync): Counters {
  const row = db.prepare('SELECT accepted, delivered, failed, discarded FROM totals').get() ?? damaged('no totals');
  // One pass without the sort of a GROUP BY. A state that is none of the three would not be in line, and so be found out.
  const states = db
    .prepare(
      `SELECT count(*) AS n, count(*) FILTER (WHERE state = ${stateNumber.Leased}) AS leased,
         count(*) FILTER (WHERE state = ${stateNumber.Held}) AS held FROM recipient NOT INDEXED`,
    )
    .get();
  const { n, leased, held } = states ?? damaged('no count');
  const counts = { Leased: intOf(leased, 'leased'), Held: intOf(held, 'held') };
  return {
    accepted: int(row, 'accepted'),
    delivered: int(row, 'delivered'),
    failed: int(row, 'failed'),
    discarded: int(row, 'discarded'),
    Waiting: intOf(n, 'count') - counts.Leased - counts.Held,
    ...counts,
  };
}

export function lastSeq(db: DatabaseSync): number {
  return int(db.prepare('SELECT coalesce(max(seq), 0) AS seq FROM message').get() ?? {}, 'seq');
}

/** A crash between receiving and enqueue, or between settle and unlink, leaves files that no row names. */
export function removeOrphans(db: DatabaseSync, dataDir: string): void {
  const folder = join(dataDir, spoolFolder);
  mkdirSync(folder, { recursive: true });
  const named = db.prepare('SELECT 1 FROM message WHERE file = ?');
  for (const file of readdirSync(folder)) {
    if (named.get(file) === undefined) rmSync(join(folder, file));
  }
}
