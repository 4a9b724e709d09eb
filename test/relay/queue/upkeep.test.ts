/** When the write-ahead log is copied into the database. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createUpkeep } from '../../../relay/queue/sqlite/upkeep.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const mostFrames = 40;

/** Writes a page a round, behind one that is there, and returns after how many the log is copied. */
async function framesUntilCopied(claims: (round: number) => boolean): Promise<number> {
  await using folder = await temporaryFolder();
  using db = new DatabaseSync(join(folder.path, 'test.db'));
  db.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (n INTEGER)');
  db.exec('PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (0)');
  const upkeep = createUpkeep(db, mostFrames);
  const look = db.prepare('PRAGMA wal_checkpoint(NOOP)');
  for (let round = 1; round <= 2 * mostFrames; round += 1) {
    db.exec('UPDATE t SET n = n + 1');
    upkeep.run(claims(round));
    const { log, checkpointed } = look.get() ?? {};
    if (checkpointed === log) return Number(log);
  }
  throw new Error('the log was never copied');
}

test('it is copied when it is full, where nobody claims', async () => {
  assert.equal(await framesUntilCopied(() => false), mostFrames);
});

test('it is copied behind a claim when it is half full, so that the next claim does not find it full', async () => {
  assert.equal(await framesUntilCopied(() => true), mostFrames / 2);
  assert.equal(await framesUntilCopied(round => round === 10 || round === 30), 31);
});

/** In which of the first rounds pages that a backlog left were given back to the file system. */
async function roundsThatGaveBack(rounds: number, claims: (round: number) => boolean): Promise<number[]> {
  await using folder = await temporaryFolder();
  using db = new DatabaseSync(join(folder.path, 'test.db'));
  db.exec('PRAGMA page_size = 512; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL');
  db.exec(`PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; CREATE TABLE t (b BLOB);
           INSERT INTO t WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 7000)
           SELECT zeroblob(450) FROM n; DELETE FROM t`);
  const upkeep = createUpkeep(db, 1_000_000);
  const pages = db.prepare('PRAGMA page_count');
  const gave: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    const before = Number(pages.get()?.['page_count']);
    upkeep.run(claims(round));
    if (Number(pages.get()?.['page_count']) < before) gave.push(round);
  }
  return gave;
}

test('unused pages are given back some at a time, where nobody claims', async () => {
  assert.deepEqual(await roundsThatGaveBack(67, () => false), [64, 65, 66, 67]);
});

test('unused pages are given back behind claims, where claims come', async () => {
  assert.deepEqual(await roundsThatGaveBack(100, round => round % 20 === 0), [80, 100]);
});
