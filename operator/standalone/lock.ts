/** One standalone a data folder: a second would rewrite the configuration of the first one's relay. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Held until `release`, or the end of the process however it comes: SQLite locks by the operating system's file locks. */
export function lockDataFolder(dataDir: string): { release(): void } {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(join(dataDir, 'standalone.lock'), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw new Error(`${dataDir} is in use by another standalone: give this one another --data-dir`, { cause });
  }
  return { release: () => database.close() };
}
