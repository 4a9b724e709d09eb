/** When a settlement is written: with the message that comes next, so that both share one sync of the disk. Time stands still here. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Claim } from '../../../relay/queue/queue.ts';
import { deliver, everything, message, only } from './messages.ts';
import { openSqlite, type SqliteHarness } from './sqlite-harness.ts';

const leased = { leaseMs: 60_000 };
const longestWaitMs = 5;
let harness: SqliteHarness;

beforeEach(async () => {
  harness = await openSqlite();
  mock.timers.enable({ apis: ['setTimeout'] });
});
afterEach(async () => {
  mock.timers.reset();
  await harness.end();
});

async function aClaim(): Promise<Claim> {
  return only(await harness.queue.enqueue(message(harness.clock), leased));
}

/** Commits in the write-ahead log, each of which was synced: https://sqlite.org/fileformat2.html#the_write_ahead_log */
async function commits(): Promise<number> {
  const log = await readFile(join(harness.dataDir, 'queue.db-wal'));
  const pageBytes = log.readUInt32BE(8);
  const salt = log.subarray(16, 24);
  let found = 0;
  for (let at = 32; at + 24 <= log.length && log.subarray(at + 8, at + 16).equals(salt); at += 24 + pageBytes) {
    if (log.readUInt32BE(at + 4) > 0) found += 1;
  }
  return found;
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await nextTurn();
}

async function leftAfterReopening(): Promise<number> {
  harness = await harness.reopen();
  return await harness.queue.count({});
}

describe('A settlement', { timeout: 60_000 }, () => {
  it('waits for the next message and is written with it', async () => {
    const claim = await aClaim();
    const before = await commits();
    let isSettled = false;
    const settling = deliver(harness.queue, claim).then(() => {
      isSettled = true;
    });
    await turns();
    assert.equal(isSettled, false);
    await harness.queue.enqueue(message(harness.clock));
    await settling;
    assert.equal(await commits(), before + 1);
    assert.equal(await leftAfterReopening(), 1);
  });

  it('is written without one when none comes in time', async () => {
    const settling = deliver(harness.queue, await aClaim());
    mock.timers.tick(longestWaitMs);
    await settling;
    assert.equal(await leftAfterReopening(), 0);
  });

  it('goes with a claim as well', async () => {
    const settling = deliver(harness.queue, await aClaim());
    assert.deepEqual(await harness.queue.claim(everything), []);
    await settling;
    assert.equal(await leftAfterReopening(), 0);
  });

  it('does not wait when it brings a message itself', async () => {
    const claim = await aClaim();
    const outcomes = [{ index: 0, result: 'Failed' as const, reason: 'RemoteRefused' }];
    await harness.queue.settle({ claim, outcomes, messages: [message(harness.clock)] });
    assert.equal(await leftAfterReopening(), 1);
  });

  it('does not wait where no mail comes in', async () => {
    await harness.queue.enqueue(message(harness.clock));
    harness = await harness.reopen();
    const claim = only(await harness.queue.claim(everything));
    await deliver(harness.queue, claim);
    assert.equal(await leftAfterReopening(), 0);
  });

  it('does not wait for more than 64 of its kind', async () => {
    const claims: Claim[] = [];
    for (let n = 0; n < 65; n += 1) claims.push(await aClaim());
    await Promise.all(claims.map(claim => deliver(harness.queue, claim)));
    assert.equal(await leftAfterReopening(), 0);
  });

  it('that waits is not lost when the queue is closed', async () => {
    const settling = deliver(harness.queue, await aClaim());
    const left = leftAfterReopening();
    await settling;
    assert.equal(await left, 0);
  });
});
