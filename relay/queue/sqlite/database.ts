/**
 * Opens the database, makes sure that it is ours alone and whole, and keeps its write-ahead log the size it has.
 *
 * What is checked when
 * - Each start: header and application id, schema version, and every page of the recipient table and of recipient_due (they are
 *   read whole, and must agree): some 0.5 s for 1,000,000 recipients. Up to `quickCheckBytes` also `quick_check`, which reads
 *   every content and so costs 1 s a GiB or more: a full queue would keep a restart waiting for no gain, since
 * - while running: SQLite checks the form of each page it reads, and columns.ts each value. Damage ends the process (fault).
 */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { int } from './columns.ts';
import { isBusy, isCorrupt, QueueStoreError } from './errors.ts';
import { closeAndReserve, giveUpReserve, growLog } from './log-file.ts';
import { migrate } from './schema.ts';
import { createUpkeep, type Upkeep } from './upkeep.ts';
import { spoolFolder } from './wire.ts';

/** A row of a 4 KiB message and its head fits a page three times, and 64 KiB take few overflow pages: measured best of 4-32 KiB. */
const pageBytes = 16_384;
/** The system caches the file anyway: with 1,000,000 queued, twice this cost 16 MiB and saved no CPU. */
const cacheKib = 16_000;
const quickCheckBytes = 64 * 2 ** 20;
/** 'Post' in ASCII: a database of somebody else is refused. */
const applicationId = 0x506f7374;

export interface Database {
  readonly db: DatabaseSync;
  readonly epoch: number;
  readonly upkeep: Upkeep;
  close(): void;
}

export function openDatabase(dataDir: string, walBytes: number): Database {
  const file = join(dataDir, 'queue.db');
  refuseLostDatabase(dataDir, file);
  let db: DatabaseSync | undefined;
  try {
    giveUpReserve(file);
    const opened = new DatabaseSync(file, { timeout: 0 });
    db = opened;
    const epoch = prepare(opened, file);
    growLog(file, walBytes);
    syncFolder(dataDir);
    const upkeep = createUpkeep(opened, Math.ceil(walBytes / pageBytes));
    return { db: opened, epoch, upkeep, close: () => closeAndReserve(opened, file) };
  } catch (error) {
    if (db?.isOpen === true) db.close();
    throw refusal(error, file);
  }
}

function prepare(db: DatabaseSync, file: string): number {
  /*
   * EXCLUSIVE makes the first read take SQLite's lock on the file for as long as the process lives: the kernel lets go of it
   * with the process, however that ends. It also keeps the WAL index in our memory instead of a shared file.
   */
  db.exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = ${pageBytes}; PRAGMA auto_vacuum = INCREMENTAL;`);
  const version = pragma(db, 'user_version');
  const id = pragma(db, 'application_id');
  if (id !== applicationId && (id !== 0 || version !== 0 || pragma(db, 'schema_version') !== 0)) {
    throw new QueueStoreError('POSTROAD_QUEUE_CORRUPT', `${file} is not a queue of this program.`);
  }
  if (version === 0) db.exec(`PRAGMA application_id = ${applicationId}`);
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
           PRAGMA cache_size = -${cacheKib}; PRAGMA temp_store = MEMORY;`);
  migrate(db, version);
  if (pragma(db, 'page_count') * pageBytes <= quickCheckBytes) quickCheck(db, file);
  db.exec('UPDATE totals SET epoch = epoch + 1');
  const row = db.prepare('SELECT epoch FROM totals').get();
  if (row === undefined) throw new QueueStoreError('POSTROAD_QUEUE_CORRUPT', `${file} has lost its totals.`);
  return int(row, 'epoch');
}

function pragma(db: DatabaseSync, name: string): number {
  return int(db.prepare(`PRAGMA ${name}`).get() ?? {}, name);
}

function quickCheck(db: DatabaseSync, file: string): void {
  const answer = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  if (answer !== 'ok') throw new QueueStoreError('POSTROAD_QUEUE_CORRUPT', `${file} is damaged: ${String(answer)}`);
}

/** An empty database would take the place of one that was lost, and its spool files would be removed as orphans. */
function refuseLostDatabase(dataDir: string, file: string): void {
  if (existsSync(file) && statSync(file).size > 0) return;
  const wal = `${file}-wal`;
  const spool = join(dataDir, spoolFolder);
  if ((existsSync(wal) && statSync(wal).size > 0) || (existsSync(spool) && readdirSync(spool).length > 0)) {
    throw new QueueStoreError(
      'POSTROAD_QUEUE_CORRUPT',
      `${file} is missing or empty, but mail that belongs to it is there.`,
    );
  }
}

function refusal(error: unknown, file: string): unknown {
  if (isBusy(error)) {
    const text = `${file} is in use by another process: one data folder serves one process.`;
    return new QueueStoreError('POSTROAD_DATA_FOLDER_IN_USE', text, { cause: error });
  }
  if (isCorrupt(error)) {
    const detail = error instanceof Error ? error.message : String(error);
    const text = `${file} is damaged (${detail}). It was left as it is: restore it, or move it away to begin with an empty queue.`;
    return new QueueStoreError('POSTROAD_QUEUE_CORRUPT', text, { cause: error });
  }
  return error;
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
