/** One standalone a data folder: a second would rewrite the configuration of the first one's relay. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** SQLITE_BUSY: somebody else holds the lock. */
const busy = 5;

/** Held until `release`, or the end of the process however it comes: SQLite locks by the operating system's file locks. */
export function lockDataFolder(dataDir: string): { release(): void } {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, 'standalone.lock');
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database?.close();
    if (!(cause instanceof Error)) throw cause;
    const inUse = 'errcode' in cause && cause.errcode === busy;
    throw new Error(
      inUse
        ? `${dataDir} is in use by another standalone: give this one another --data-dir`
        : `${file} cannot be locked: ${cause.message}`,
      { cause },
    );
  }
  return { release: () => database.close() };
}
