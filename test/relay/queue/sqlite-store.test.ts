/** What concerns this store only: its folder, its file, its worker, its counters, its memory. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { openDatabase } from '../../../relay/queue/sqlite/database.ts';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { contentOf, deliver, everything, message, only, readAll, to } from './messages.ts';
import { openSqlite, type SqliteHarness, smallWal } from './sqlite-harness.ts';

let harness: SqliteHarness;

beforeEach(async () => {
  harness = await openSqlite();
});
afterEach(() => harness.end());

const openAgain = () => openVolumeQueue({ dataDir: harness.dataDir, minFreeDiskBytes: () => 0, ...smallWal });
const file = (name: string) => join(harness.dataDir, name);

describe('A data folder', () => {
  it('belongs to one owner: a second is refused at once and harms nothing', async () => {
    await harness.queue.enqueue(message(harness.clock));
    const began = performance.now();
    await assert.rejects(openAgain(), { code: 'POSTROAD_DATA_FOLDER_IN_USE' });
    assert.ok(performance.now() - began < 5000);
    await harness.queue.enqueue(message(harness.clock));
    assert.equal(await harness.queue.count({}), 2);
  });

  it('is free again as soon as its owner has died', async () => {
    await harness.queue.close();
    const source = `
      const { DatabaseSync } = require('node:sqlite');
      const db = new DatabaseSync(${JSON.stringify(file('queue.db'))});
      db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE totals SET probes = probes + 1; COMMIT');
      require('node:worker_threads').parentPort.postMessage('mine');
      setInterval(() => undefined, 1000);`;
    const owner = new Worker(source, { eval: true });
    await once(owner, 'message');
    await assert.rejects(openAgain(), { code: 'POSTROAD_DATA_FOLDER_IN_USE' });
    await owner.terminate();
    const queue = await openAgain();
    await queue.close();
  });

  it('of a newer version is refused and left as it is', async () => {
    await harness.queue.close();
    const db = new DatabaseSync(file('queue.db'));
    db.exec('PRAGMA user_version = 999');
    db.close();
    await assert.rejects(openAgain(), { code: 'POSTROAD_QUEUE_NEWER', message: /999/ });
  });

  it('with a damaged database is refused with a plain text, and not a byte of it is changed', async () => {
    for (let n = 0; n < 200; n += 1) await harness.queue.enqueue(message(harness.clock));
    await harness.queue.close();
    const whole = await readFile(file('queue.db'));
    const damages: [string, (bytes: Buffer) => Buffer][] = [
      ['garbage', () => Buffer.alloc(20_000, 'garbage')],
      ['first half only', bytes => bytes.subarray(0, 32_768)],
      ['pages overwritten', bytes => Buffer.from(bytes).fill(0xff, 40_000, bytes.length - 100)],
    ];
    for (const [name, damage] of damages) {
      const bytes = damage(whole);
      await writeFile(file('queue.db'), bytes);
      await assert.rejects(openAgain(), { code: 'POSTROAD_QUEUE_CORRUPT' }, name);
    }
    await writeFile(file('queue.db'), whole);
    const queue = await openAgain();
    assert.equal(await queue.count({}), 200);
    await queue.close();
  });

  it('whose database was lost while its spool was not is refused, so that no mail is removed as an orphan', async () => {
    await harness.queue.enqueue(message(harness.clock, { content: contentOf(Buffer.alloc(400_000, 'x')) }));
    await harness.queue.close();
    await truncate(file('queue.db'), 0);
    await assert.rejects(openAgain(), { code: 'POSTROAD_QUEUE_CORRUPT' });
    assert.equal((await readdir(file('spool'))).length, 1);
  });

  it('of another program is refused', async () => {
    await harness.queue.close();
    const dataDir = file('other');
    mkdirSync(dataDir);
    const db = new DatabaseSync(join(dataDir, 'queue.db'));
    db.exec('CREATE TABLE theirs (x)');
    db.close();
    await assert.rejects(openVolumeQueue({ dataDir, minFreeDiskBytes: () => 0 }), { code: 'POSTROAD_QUEUE_CORRUPT' });
  });

  it('is made with its parents when it is missing', async () => {
    const queue = await openVolumeQueue({ dataDir: file('a/b/c'), minFreeDiskBytes: () => 0, ...smallWal });
    await queue.close();
    assert.ok(existsSync(file('a/b/c/queue.db')));
  });
});

describe('Spool files', () => {
  it('go with their message, and those that no message names go at the next start', async () => {
    const { queue, clock } = harness;
    const large = () => contentOf(Buffer.alloc(400_000, 'x'));
    const first = only(await queue.enqueue(message(clock, { content: large() }), { leaseMs: 1000 }));
    await queue.enqueue(message(clock, { content: large() }));
    const abandoned = queue.openSpool();
    await abandoned.write(Buffer.alloc(400_000, 'y'));
    await abandoned.finish();
    assert.equal((await readdir(file('spool'))).length, 3);
    await deliver(queue, first);
    harness = await harness.reopen();
    assert.equal((await readdir(file('spool'))).length, 1);
    const claim = only(await harness.queue.claim(everything));
    assert.equal((await readAll(claim.content)).length, 400_000);
    await deliver(harness.queue, claim);
    await harness.queue.close();
    assert.deepEqual(await readdir(file('spool')), []);
  });

  it('are not delivered in part: a file that was cut short fails the reading', async () => {
    await harness.queue.enqueue(message(harness.clock, { content: contentOf(Buffer.alloc(400_000, 'x')) }));
    const claim = only(await harness.queue.claim(everything));
    const [name = ''] = await readdir(file('spool'));
    await truncate(join(file('spool'), name), 100_000);
    await assert.rejects(readAll(claim.content), /has lost 300000/);
  });

  it('are used for small contents too when the memory for all of them is taken, and not when it is free again', async () => {
    const dataDir = file('small');
    const queue = await openVolumeQueue({
      dataDir,
      minFreeDiskBytes: () => 0,
      memoryBudgetBytes: 100_000,
      ...smallWal,
    });
    const spools = [queue.openSpool(), queue.openSpool(), queue.openSpool()];
    for (const spool of spools) await spool.write(Buffer.alloc(60_000, 'x'));
    const contents = await Promise.all(spools.map(spool => spool.finish()));
    assert.deepEqual(
      contents.map(content => content.bytes?.length),
      [60_000, undefined, undefined],
    );
    await queue.enqueue(message(harness.clock, { content: only(contents.slice(0, 1)) }));
    for (const spool of spools) await spool.discard();
    assert.deepEqual(await readdir(join(dataDir, 'spool')), []);
    const next = queue.openSpool();
    await next.write(Buffer.alloc(60_000, 'x'));
    assert.equal((await next.finish()).bytes?.length, 60_000);
    await queue.close();
  });
});

describe('The counters', () => {
  it('are what counting the rows gives, after every kind of change', async () => {
    const { queue, clock } = harness;
    for (let n = 0; n < 300; n += 1) {
      const recipients = [to(`a@d${n % 7}.example`), to(`b@d${n % 11}.example`)];
      await queue.enqueue(
        message(clock, { tenant: `t${n % 3}`, recipients }),
        n % 2 === 0 ? { leaseMs: 1000 } : undefined,
      );
    }
    await queue.hold({ domain: 'd3.example' });
    for (const claim of await queue.claim({ ...everything, limit: 50 })) await deliver(queue, claim);
    clock.advance(2000);
    await queue.claim({ ...everything, limit: 20 });
    const { depth, totals } = await queue.stats();
    const counted = await Promise.all(
      (['Waiting', 'Leased', 'Held'] as const).map(state => queue.count({ state, receivedBeforeMs: clock.now() })),
    );
    assert.deepEqual([depth.Waiting, depth.Leased, depth.Held], counted);
    await queue.close();
    const db = new DatabaseSync(file('queue.db'));
    const rows = db.prepare('SELECT count(*) AS n, sum(state = 2) AS held FROM recipient').get();
    db.close();
    assert.deepEqual({ ...rows }, { n: totals.accepted - totals.delivered, held: depth.Held });
  });
});

describe('The write-ahead log', () => {
  it('is synced at each commit, which kill -9 cannot show and power loss would', async () => {
    const { db } = openDatabase(join(harness.dataDir, 'spool'), smallWal.walBytes);
    const setting = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
    assert.deepEqual(
      [setting('journal_mode'), setting('synchronous'), setting('locking_mode')],
      ['wal', 2, 'exclusive'],
    );
    db.close();
  });

  it('is as large after much mail as it was at the start, so that no commit appends to it', async () => {
    const wal = file('queue.db-wal');
    const before = (await stat(wal)).size;
    assert.ok(before >= smallWal.walBytes);
    for (let round = 0; round < 40; round += 1) {
      const enqueue = () =>
        harness.queue.enqueue(message(harness.clock, { content: contentOf(Buffer.alloc(20_000)) }), { leaseMs: 1000 });
      const claims = await Promise.all(Array.from({ length: 50 }, enqueue));
      await Promise.all(claims.flat().map(claim => deliver(harness.queue, claim)));
    }
    assert.equal((await stat(wal)).size, before);
  });
});

describe('A store that fails while it runs', () => {
  it('does not leave anyone waiting when its thread dies', async () => {
    const thread = Promise.withResolvers<Worker>();
    process.once('worker', thread.resolve);
    const fault = Promise.withResolvers<Error>();
    const { queue, clock, end } = await openSqlite({ onFault: fault.resolve });
    const outstanding = [queue.enqueue(message(clock)), queue.stats(), queue.probe()];
    await (await thread.promise).terminate();
    for (const { status } of await Promise.allSettled(outstanding)) assert.match(status, /fulfilled|rejected/);
    assert.equal(((await fault.promise) as { code?: string }).code, 'POSTROAD_QUEUE_FAULT');
    await assert.rejects(queue.stats(), { code: 'POSTROAD_QUEUE_FAULT' });
    await end();
  });

  it('rejects everything outstanding, tells its owner once, and refuses what comes later', async () => {
    // More than what is checked whole at start, with the damage where only a claim reads.
    const large = () => harness.queue.enqueue(message(harness.clock, { content: contentOf(Buffer.alloc(250_000)) }));
    for (let n = 0; n < 20; n += 1) await Promise.all(Array.from({ length: 16 }, large));
    await harness.queue.close();
    const handle = await open(file('queue.db'), 'r+');
    await handle.write(Buffer.alloc(2 ** 20, 0xff), 0, undefined, 44 * 2 ** 20);
    await handle.close();
    const faults: Error[] = [];
    harness = await openSqlite({ dataDir: harness.dataDir, onFault: error => faults.push(error) });
    const { queue, clock } = harness;
    const claims = async () => {
      for (;;) await queue.claim({ ...everything, limit: 10 });
    };
    const outstanding = await Promise.allSettled([claims(), queue.enqueue(message(clock)).then(claims)]);
    assert.deepEqual(
      outstanding.map(result => (result.status === 'rejected' ? result.reason.code : result.status)),
      ['POSTROAD_QUEUE_FAULT', 'POSTROAD_QUEUE_FAULT'],
    );
    await assert.rejects(queue.enqueue(message(clock)), { code: 'POSTROAD_QUEUE_FAULT' });
    await queue.close();
    assert.equal(faults.length, 1);
  });
});
