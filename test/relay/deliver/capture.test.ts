import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Capture, createCapture } from '../../../relay/deliver/capture.ts';
import type { Claim } from '../../../relay/queue/queue.ts';
import { MemoryContent } from '../../../relay/queue/sqlite/content.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

function claim(id: string, ...to: string[]): Claim {
  return {
    token: id,
    message: {
      id,
      sender: { reversePath: null, body: '7BIT', smtputf8: false, requireTls: false },
      tenant: 't',
      policy: null,
      receivedTimeMs: 0,
      expiryTimeMs: 0,
    },
    head: Buffer.from('H: h\r\n'),
    content: new MemoryContent(Buffer.from('\r\nbody\r\n')),
    destination: 'capture',
    recipients: to.map((forwardPath, index) => ({
      index,
      forwardPath,
      domain: 'd',
      destination: 'capture',
      notify: [],
      attempts: 0,
      delayWarned: false,
    })),
    leaseExpiryTimeMs: 0,
  };
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

test('an id that is a path is no id', async () => {
  await using folder = await temporaryFolder();
  const capture = createCapture({ directory: folder.path });
  await assert.rejects(capture.store(claim('../x', 'a@x')));
  assert.equal(await capture.read('../../etc/passwd'), undefined);
});
