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
