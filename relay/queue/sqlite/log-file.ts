/**
 * The write-ahead log as a file: grown once, and its room kept from one life to the next.
 *
 * SQLite removes the log when the last connection closes. On a disk that somebody else fills meanwhile, the next start could
 * not make one, and the mail that would give room back could not be delivered. So a clean stop keeps the log's blocks under a
 * second name, and the start gives them up just before it makes the new log. The second name is never read: removing it is
 * right whatever has happened in between, even when it names the very log that a killed process left.
 */

import { closeSync, fdatasyncSync, linkSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { isFull } from './errors.ts';

const logOf = (file: string): string => `${file}-wal`;
const reserveOf = (file: string): string => `${file}-reserve`;

/** Before the database is opened. */
export function giveUpReserve(file: string): void {
  rmSync(reserveOf(file), { force: true });
}

/** To be called by the owner of the lock on the database only. */
export function closeAndReserve(db: DatabaseSync, file: string): void {
  try {
    rmSync(reserveOf(file), { force: true });
    linkSync(logOf(file), reserveOf(file));
  } catch (error) {
    if (!isWithoutLink(error)) throw error;
  } finally {
    db.close();
  }
}

/** No reserve then: a file system that knows no links, or a log that another program has removed. */
function isWithoutLink(error: unknown): boolean {
  const codes = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOENT'];
  return isFull(error) || (error instanceof Error && 'code' in error && codes.includes(String(error.code)));
}

/**
 * Appending to the log costs a file system's metadata commit each time (1.1 ms against 0.07 ms, PERFORMANCE.md), overwriting
 * what is there does not. So it is filled with zeros once, behind what SQLite has in it, and by default never truncated. Zeros
 * are no valid frame to SQLite. 8 MiB beyond the checkpoint's threshold are for the batch that crosses it.
 */
export function growLog(file: string, walBytes: number): void {
  const log = logOf(file);
  const handle = openSync(log, 'r+');
  try {
    const zeros = Buffer.alloc(2 ** 20);
    for (let at = statSync(log).size; at < walBytes + 8 * 2 ** 20; at += zeros.length) {
      writeSync(handle, zeros, 0, zeros.length, at);
    }
    fdatasyncSync(handle);
  } catch (error) {
    // A full disk must not keep the queue from starting: what is in it has to get out.
    if (!isFull(error)) throw error;
  } finally {
    closeSync(handle);
  }
}
