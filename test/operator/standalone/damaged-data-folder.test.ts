/**
 * The stories: a status file of the data folder that held JSON but no status kept standalone from starting ("previous.find is
 * not a function"); a lock file that was damaged, or on a read-only disk, was told as "in use by another standalone"; a user
 * whose name fills a file name's 255 bytes left no room for the name of the temporary file.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { validateObject } from '../../../crds/validate-object.ts';
import { writeAtomically } from '../../../operator/standalone/files.ts';
import { lockDataFolder } from '../../../operator/standalone/lock.ts';
import { fileNameOf, openStatusFolder } from '../../../operator/standalone/status-folder.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const { object } = validateObject({
  apiVersion: 'postroad.dev/v1alpha1',
  kind: 'DomainPolicy',
  metadata: { name: 'one', namespace: 'mail' },
  spec: { relayRef: { name: 'outbound' }, domains: ['one.example.com'] },
});
assert.ok(object !== undefined);

const condition = {
  type: 'Ready',
  status: 'True',
  reason: 'Ready',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
};

describe('a data folder', () => {
  for (const [story, text, kept] of [
    ['is a status', JSON.stringify({ status: { conditions: [condition] } }), true],
    ['is JSON, but no status', '{"status":{"conditions":5}}', false],
    ['has a status that is no object', '{"status":[]}', false],
    ['is a list', '[]', false],
    ['is no JSON', '{"status"', false],
  ] as const)
    it(`with a status file that ${story} ${kept ? 'tells what was' : 'is one without it'}`, async () => {
      await using folder = await temporaryFolder();
      await writeFile(join(folder.path, fileNameOf(object)), text);
      const { previous } = await openStatusFolder(folder.path);
      assert.deepEqual(previous(object), kept ? { conditions: [condition] } : undefined);
    });

  it('is locked once, and says so to the second', async () => {
    await using folder = await temporaryFolder();
    const first = lockDataFolder(folder.path);
    assert.throws(() => lockDataFolder(folder.path), /is in use by another standalone/);
    first.release();
    lockDataFolder(folder.path).release();
  });

  it('whose lock file cannot be used says that, not that another standalone runs', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'standalone.lock'), 'x'.repeat(4096));
    assert.throws(() => lockDataFolder(folder.path), /standalone\.lock cannot be locked: file is not a database/);
  });

  it('takes a file with the longest name there is', async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'u'.repeat(255));
    await writeAtomically(path, 'first');
    await writeAtomically(path, 'second');
    assert.equal(await readFile(path, 'utf8'), 'second');
  });
});
