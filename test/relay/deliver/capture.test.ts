import assert from 'node:assert/strict';
import { readdir, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Capture, createCapture } from '../../../relay/deliver/capture.ts';
import type { Claim } from '../../../relay/queue/queue.ts';
import { MemoryContent } from '../../../relay/queue/sqlite/content.ts';
import { buildClaim, buildQueued } from '../../support/claim-builders.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

function claim(id: string, ...to: string[]): Claim {
  return claimOf(id, Buffer.from('\r\nbody\r\n'), ...to);
}

function claimOf(id: string, body: Buffer, ...to: string[]): Claim {
  return buildClaim({
    token: id,
    head: Buffer.from('H: h\r\n'),
    content: new MemoryContent(body),
    recipients: to.map((forwardPath, index) => buildQueued({ index, forwardPath })),
  });
}

async function text(capture: Capture, id: string): Promise<string | undefined> {
  const stream = await capture.read(id);
  return stream === undefined ? undefined : Buffer.concat(await stream.toArray()).toString();
}

test('claims of one message at the same time make one message with all recipients', async () => {
  await using folder = await temporaryFolder();
  const capture = createCapture({ directory: folder.path });
  await Promise.all([
    capture.store(claim('A1', 'a@x', 'b@x')),
    capture.store(claim('A1', 'c@x')),
    capture.store(claim('A1', 'a@x')),
  ]);
  const [only, ...others] = await capture.list();
  assert.deepEqual(only?.forwardPaths.toSorted(), ['a@x', 'b@x', 'c@x']);
  assert.equal(others.length, 0);
  assert.equal(await text(capture, 'A1'), 'H: h\r\n\r\nbody\r\n');
});

test('the oldest make room, the newest come first, and a new process goes on', async () => {
  await using folder = await temporaryFolder();
  const first = createCapture({ directory: folder.path, maxMessages: 3 });
  for (const id of ['A1', 'A2', 'A3']) await first.store(claim(id, 'a@x'));
  const second = createCapture({ directory: folder.path, maxMessages: 3 });
  await second.store(claim('A4', 'a@x'));
  assert.deepEqual(
    (await second.list()).map(({ id }) => id),
    ['A4', 'A3', 'A2'],
  );
  assert.equal(await text(second, 'A1'), undefined);
  assert.equal((await readdir(folder.path)).length, 6);
});

test('what a crash left half written is no message, and goes', async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'B1.eml.part'), 'half');
  await writeFile(join(folder.path, 'B2.eml'), 'whole, but its envelope was not written yet');
  const capture = createCapture({ directory: folder.path });
  assert.deepEqual(await capture.list(), []);
  assert.equal(await text(capture, 'B2'), undefined);
  await capture.store(claim('B2', 'a@x'));
  assert.equal(await text(capture, 'B2'), 'H: h\r\n\r\nbody\r\n');
  assert.ok(!(await readdir(folder.path)).includes('B1.eml.part'));
});

async function bytesIn(folder: string): Promise<number> {
  const sizes = await Promise.all((await readdir(folder)).map(async name => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function idsOf(capture: Capture): Promise<string[]> {
  return (await capture.list()).map(({ id }) => id);
}

const body = (sizeBytes: number) => Buffer.alloc(sizeBytes, 'x');

test('captured mail takes no more bytes than it may: the oldest make room, before a restart and after', async () => {
  await using folder = await temporaryFolder();
  const limits = { directory: folder.path, maxBytes: 100_000 };
  const first = createCapture(limits);
  for (const id of ['A1', 'A2', 'A3', 'A4']) await first.store(claimOf(id, body(30_000), 'a@x'));
  assert.deepEqual(await idsOf(first), ['A4', 'A3', 'A2']);
  const second = createCapture(limits);
  await second.store(claimOf('A5', body(60_000), 'a@x'));
  assert.deepEqual(await idsOf(second), ['A5', 'A4']);
  assert.ok((await bytesIn(folder.path)) <= 100_000);
});

test('messages captured at the same time stay within the bytes together', async () => {
  await using folder = await temporaryFolder();
  const capture = createCapture({ directory: folder.path, maxBytes: 100_000 });
  const ids = Array.from({ length: 16 }, (_, n) => `A${n + 10}`);
  const stored = await Promise.allSettled(ids.map(async id => await capture.store(claimOf(id, body(30_000), 'a@x'))));
  assert.ok(stored.some(({ status }) => status === 'fulfilled'));
  assert.ok((await bytesIn(folder.path)) <= 100_000);
  assert.equal((await readdir(folder.path)).length, 2 * (await idsOf(capture)).length);
});

test('a list of recipients counts too', async () => {
  await using folder = await temporaryFolder();
  const capture = createCapture({ directory: folder.path, maxBytes: 10_000 });
  await capture.store(claimOf('A1', body(2000), 'a@x'));
  await capture.store(claim('A2', ...Array.from({ length: 52 }, (_, n) => `${'a'.repeat(180)}${n}@x`)));
  assert.deepEqual(await idsOf(capture), ['A2']);
});

test('a message larger than all captured mail may be is refused, and takes no other with it', async () => {
  await using folder = await temporaryFolder();
  const capture = createCapture({ directory: folder.path, maxBytes: 10_000 });
  await capture.store(claim('A1', 'a@x'));
  await assert.rejects(capture.store(claimOf('A2', body(20_000), 'a@x')));
  assert.deepEqual(await idsOf(capture), ['A1']);
  assert.equal((await readdir(folder.path)).length, 2);
});

test('captured mail gives way before the queue must: with little room left it replaces the oldest', async t => {
  await using folder = await temporaryFolder();
  await using disk = await mountSmallDisk(t, folder.path, 16);
  if (disk === undefined) return;
  const directory = join(folder.path, 'captured');
  const minFree = 4 * 2 ** 20;
  const capture = createCapture({ directory, minFreeDiskBytes: () => minFree });
  const ids = Array.from({ length: 30 }, (_, n) => `A${n + 10}`);
  for (const id of ids) {
    await capture.store(claimOf(id, body(2 ** 20), 'a@x'));
    const { bavail, bsize } = await statfs(directory);
    assert.ok(bavail * bsize > minFree + 2 ** 20, 'the queue takes mail');
  }
  const kept = await idsOf(capture);
  assert.ok(kept.length >= 5 && kept.length < 10, `${kept.length}`);
  assert.deepEqual(kept, ids.toReversed().slice(0, kept.length));
});

test('on a disk that something else has filled nothing is captured, and nothing captured is lost', async () => {
  await using folder = await temporaryFolder();
  let minFree = 0;
  const capture = createCapture({ directory: folder.path, minFreeDiskBytes: () => minFree });
  await capture.store(claim('A1', 'a@x'));
  minFree = Number.MAX_SAFE_INTEGER;
  await assert.rejects(capture.store(claim('A2', 'a@x')));
  assert.deepEqual((await readdir(folder.path)).toSorted(), ['A1.eml', 'A1.json']);
  minFree = 0;
  await capture.store(claim('A2', 'a@x'));
  assert.deepEqual(await idsOf(capture), ['A2', 'A1']);
});

test('what could not be written leaves nothing behind', async () => {
  await using folder = await temporaryFolder();
  const capture = createCapture({ directory: folder.path });
  const broken = claim('A1', 'a@x');
  const content = {
    sizeBytes: 10,
    // biome-ignore lint/correctness/useYield: it fails before its first byte
    async *read() {
      throw new Error('the content cannot be read');
    },
  };
  await assert.rejects(capture.store({ ...broken, content: { ...content, bytes: undefined } }));
  assert.deepEqual(await readdir(folder.path), []);
  await capture.store(broken);
  assert.deepEqual(await idsOf(capture), ['A1']);
});

test('an id that is a path is no id', async () => {
  await using folder = await temporaryFolder();
  const capture = createCapture({ directory: folder.path });
  await assert.rejects(capture.store(claim('../x', 'a@x')));
  assert.equal(await capture.read('../../etc/passwd'), undefined);
});
