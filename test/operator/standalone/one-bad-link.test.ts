/** The story: a link to itself in the manifest folder made the whole folder look the same for ever, so that no change of the others was seen. */
import assert from 'node:assert/strict';
import { rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { fingerprint } from '../../../operator/standalone/watch.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

it('a change is noticed beside a link that leads nowhere', async () => {
  await using folder = await temporaryFolder();
  const good = join(folder.path, 'good.yaml');
  const bad = join(folder.path, 'bad.yaml');
  await writeFile(good, 'one');
  await symlink('bad.yaml', bad);
  const before = await fingerprint(folder.path);
  assert.equal(await fingerprint(folder.path), before);
  await writeFile(good, 'other');
  const changed = await fingerprint(folder.path);
  assert.notEqual(changed, before);
  await rm(bad);
  assert.notEqual(await fingerprint(folder.path), changed);
});
