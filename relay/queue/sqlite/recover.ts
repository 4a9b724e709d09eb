/**
 * From what is on disk to what the worker knows in memory: ends the leases of the former owner, counts, and fills the index of
 * who is ready. Reads the recipient table and recipient_due once, whole; contents are not touched.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { damaged, int, text } from './columns.ts';
import { type Counters, Memory } from './memory.ts';
import { stateNames } from './schema.ts';
import { spoolFolder } from './wire.ts';

export function recover(db: DatabaseSync, nowMs: number): Memory {
  // A lease dies with the process that held it. What it was doing is unknown: it is done again (G2).
  db.prepare('UPDATE recipient SET state = 0, due = ? WHERE state = 1').run(nowMs);
  const counters = readCounters(db);
  const memory = new Memory(counters);
  const slots = db.prepare(
    `SELECT tenant, destination, min(due) AS due, count(*) AS n FROM recipient INDEXED BY recipient_due
     WHERE state = 0 GROUP BY tenant, destination`,
  );
  let waiting = 0;
  for (const row of slots.iterate()) {
    memory.ready.add(text(row, 'tenant'), text(row, 'destination'), int(row, 'due'));
    waiting += int(row, 'n');
  }
  if (waiting !== counters.Waiting) damaged(`${counters.Waiting} recipients wait, but ${waiting} are in line`);
  // Puts the due ones in line now: 60 ms for 100,000 destinations, which the first claim would take.
  memory.ready.next(nowMs);
  return memory;
}

function readCounters(db: DatabaseSync): Counters {
  const row = db.prepare('SELECT accepted, delivered, failed, discarded FROM totals').get() ?? damaged('no totals');
  const counters: Counters = {
    accepted: int(row, 'accepted'),
    delivered: int(row, 'delivered'),
    failed: int(row, 'failed'),
    discarded: int(row, 'discarded'),
    Waiting: 0,
    Leased: 0,
    Held: 0,
  };
  for (const group of db.prepare('SELECT state, count(*) AS n FROM recipient NOT INDEXED GROUP BY state').all()) {
    counters[stateNames[int(group, 'state')] ?? damaged('state')] = int(group, 'n');
  }
  return counters;
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
