/** A disk that fills up, and is emptied again. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, link, open, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { NewMessage, Queue } from '../../../relay/queue/queue.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { contentOf, deliver, everything, message, only, readAll } from './messages.ts';
import { openSqlite } from './sqlite-harness.ts';

/** Enqueues until the queue has no room; returns the ids that were acknowledged. */
async function fill(queue: Queue, make: () => NewMessage): Promise<Set<string>> {
  const kept = new Set<string>();
  for (let n = 0; n < 5000; n += 1) {
    const next = make();
    if (!(await taken(queue, next))) return kept;
    kept.add(next.id);
  }
  throw new Error('The disk is never full.');
}

async function taken(queue: Queue, next: NewMessage): Promise<boolean> {
  try {
    await queue.enqueue(next);
    return true;
  } catch (error) {
    assert.equal((error as { code?: unknown }).code, 'POSTROAD_QUEUE_FULL', String(error));
    return false;
  }
}

/** What somebody else keeps on the disk: all that is left of it. */
async function fillWithOtherFiles(folder: string): Promise<void> {
  const other = await open(join(folder, 'other'), 'a');
  try {
    await assert.rejects(
      async () => {
        for (;;) await other.appendFile(Buffer.alloc(4096));
      },
      { code: 'ENOSPC' },
    );
  } finally {
    await other.close();
  }
}

async function deliverAll(queue: Queue): Promise<string[]> {
  const ids: string[] = [];
  for (let claims = await queue.claim(everything); claims.length > 0; claims = await queue.claim(everything)) {
    for (const claim of claims) {
      await deliver(queue, claim);
      ids.push(claim.message.id);
    }
  }
  return ids;
}

describe('A disk without room', () => {
  it('that somebody else filled does not keep a queue that was stopped cleanly from starting and delivering', async t => {
    await using folder = await temporaryFolder();
    await using disk = await mountSmallDisk(t, folder.path, 40);
    if (disk === undefined) return;
    const dataDir = join(folder.path, 'data');
    let harness = await openSqlite({ dataDir });
    try {
      const kept = new Set<string>();
      for (let n = 0; n < 50; n += 1) {
        const next = message(harness.clock, { content: contentOf(Buffer.alloc(20_000, 'x')) });
        await harness.queue.enqueue(next);
        kept.add(next.id);
      }
      for (let life = 0; life < 3; life += 1) {
        await harness.queue.close();
        await fillWithOtherFiles(folder.path);
        harness = await harness.reopen();
        assert.equal(await harness.queue.count({}), kept.size);
      }
      assert.deepEqual(new Set(await deliverAll(harness.queue)), kept);
      await rm(join(folder.path, 'other'));
      await harness.queue.enqueue(message(harness.clock));
      harness = await harness.reopen();
      assert.equal(await harness.queue.count({}), 1);
    } finally {
      await harness.end();
    }
  });

  it('that somebody else filled keeps a queue from starting when its reserve is taken away (control)', async t => {
    await using folder = await temporaryFolder();
    await using disk = await mountSmallDisk(t, folder.path, 24);
    if (disk === undefined) return;
    const dataDir = join(folder.path, 'data');
    const harness = await openSqlite({ dataDir });
    try {
      await harness.queue.enqueue(message(harness.clock));
      await harness.queue.close();
      await rm(join(dataDir, 'queue.db-reserve'));
      await fillWithOtherFiles(folder.path);
      await assert.rejects(harness.reopen());
    } finally {
      await harness.end();
    }
  });

  it('does not keep a queue from starting and delivering after kill -9', async t => {
    await using folder = await temporaryFolder();
    await using disk = await mountSmallDisk(t, folder.path, 24);
    if (disk === undefined) return;
    const dataDir = join(folder.path, 'data');
    const child = spawn(process.execPath, [join(import.meta.dirname, 'full-disk-child.ts'), dataDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = await once(child.stdout, 'data', { signal: AbortSignal.timeout(30_000) });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await fillWithOtherFiles(folder.path);
    const harness = await openSqlite({ dataDir });
    try {
      const keptCount = Number(said);
      assert.ok(keptCount > 20, String(said));
      assert.equal((await deliverAll(harness.queue)).length, keptCount);
      await waitUntil('a message is taken again', () => taken(harness.queue, message(harness.clock)));
    } finally {
      await harness.end();
    }
  });

  it('loses nothing when the process is killed between naming the log a reserve and closing it', async () => {
    await using folder = await temporaryFolder();
    const harness = await openSqlite();
    try {
      await harness.queue.enqueue(message(harness.clock));
      const wal = join(harness.dataDir, 'queue.db-wal');
      await link(wal, join(harness.dataDir, 'queue.db-reserve'));
      const dataDir = join(folder.path, 'as-the-kill-left-it');
      await cp(harness.dataDir, dataDir, { recursive: true });
      const next = await openSqlite({ dataDir });
      try {
        assert.equal(await next.queue.count({}), 1);
        await assert.rejects(stat(join(dataDir, 'queue.db-reserve')), { code: 'ENOENT' });
        await next.queue.close();
        assert.ok((await stat(join(dataDir, 'queue.db-reserve'))).size >= 9 * 2 ** 20);
      } finally {
        await next.end();
      }
    } finally {
      await harness.end();
    }
  });

  it('refuses messages, keeps what it has acknowledged, still settles, and takes messages again when there is room', async t => {
    await using folder = await temporaryFolder();
    await using disk = await mountSmallDisk(t, folder.path, 24);
    if (disk === undefined) return;
    const faults: Error[] = [];
    let harness = await openSqlite({ dataDir: join(folder.path, 'data'), onFault: error => faults.push(error) });
    try {
      const { clock } = harness;
      const kept = await fill(harness.queue, () => message(clock, { content: contentOf(Buffer.alloc(100_000, 'x')) }));
      assert.ok(kept.size > 20, `${kept.size}`);
      assert.equal(await harness.queue.count({}), kept.size);
      const settleSome = async () => {
        const claims = await harness.queue.claim({ ...everything, limit: 10 });
        for (const claim of claims) {
          await deliver(harness.queue, claim);
          kept.delete(claim.message.id);
        }
        return claims.length;
      };
      // Nothing is left of the disk: settling must not need any of it.
      await assert.rejects(writeFile(join(folder.path, 'more'), Buffer.alloc(24 * 2 ** 20)), { code: 'ENOSPC' });
      assert.equal(await settleSome(), 10);
      harness = await harness.reopen();
      const after = (await harness.queue.list({}, { limit: 1000 })).items.map(item => item.id);
      assert.deepEqual(new Set(after), kept);
      // Nobody makes room but the queue itself, by what it delivers.
      while ((await settleSome()) > 0);
      assert.equal(kept.size, 0);
      await waitUntil('a message is taken again', () => taken(harness.queue, message(clock)));
      await harness.queue.probe();
      assert.equal(await harness.queue.count({}), 1);
      assert.deepEqual(faults, []);
    } finally {
      await harness.end();
    }
  });

  it('refuses large contents while they are written, and gives the room back', async t => {
    await using folder = await temporaryFolder();
    await using disk = await mountSmallDisk(t, folder.path, 24);
    if (disk === undefined) return;
    const harness = await openSqlite({ dataDir: join(folder.path, 'data') });
    try {
      const spool = harness.queue.openSpool();
      const flood = async () => {
        for (let n = 0; n < 1000; n += 1) await spool.write(Buffer.alloc(100_000));
      };
      await assert.rejects(flood(), { code: 'POSTROAD_QUEUE_FULL' });
      await spool.discard();
      const again = harness.queue.openSpool();
      await waitUntil('room for another content', async () => {
        try {
          await again.write(Buffer.alloc(1_000_000, 'z'));
          return true;
        } catch (error) {
          assert.equal((error as { code?: unknown }).code, 'POSTROAD_QUEUE_FULL');
          return false;
        }
      });
      const content = await again.finish();
      const claim = only(await harness.queue.enqueue(message(harness.clock, { content }), { leaseMs: 1000 }));
      assert.ok((await readAll(claim.content)).length >= 1_000_000);
    } finally {
      await harness.end();
    }
  });

  it('is refused before it is full by minFreeDiskBytes, which is read live, while settling goes on', async () => {
    let minFreeBytes = 0;
    const harness = await openSqlite({ minFreeDiskBytes: () => minFreeBytes });
    try {
      const { queue, clock } = harness;
      const claim = only(await queue.enqueue(message(clock), { leaseMs: 1000 }));
      minFreeBytes = Number.MAX_SAFE_INTEGER;
      await assert.rejects(queue.enqueue(message(clock)), { code: 'POSTROAD_QUEUE_FULL' });
      await assert.rejects(queue.probe(), { code: 'POSTROAD_QUEUE_FULL' });
      await assert.rejects(async () => queue.openSpool().write(Buffer.alloc(10)), { code: 'POSTROAD_QUEUE_FULL' });
      await queue.settle({
        claim,
        outcomes: [{ index: 0, result: 'Failed', reason: 'x' }],
        messages: [message(clock)],
      });
      minFreeBytes = 0;
      await queue.enqueue(message(clock));
      await queue.probe();
      await queue.openSpool().write(Buffer.alloc(10));
      assert.equal(await queue.count({}), 2);
    } finally {
      await harness.end();
    }
  });
});
