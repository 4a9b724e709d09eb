/** A disk that fills up, and is emptied again. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { NewMessage, Queue } from '../../../relay/queue/queue.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { contentOf, deliver, everything, message, only, readAll } from './messages.ts';
import { openSqlite } from './sqlite-harness.ts';

const run = promisify(execFile);

/** A disk of its own for the test; undefined, with the reason told, where the test may not mount one. */
async function mountSmallDisk(t: TestContext, folder: string, sizeMib: number): Promise<AsyncDisposable | undefined> {
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', folder]);
  } catch (error) {
    const reason = `cannot mount a tmpfs here: ${error instanceof Error ? error.message : String(error)}`;
    assert.notEqual(process.env['CI'], 'true', reason);
    t.skip(reason);
    return undefined;
  }
  return {
    async [Symbol.asyncDispose]() {
      await run('umount', ['-l', folder]);
    },
  };
}

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

describe('A disk without room', () => {
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
