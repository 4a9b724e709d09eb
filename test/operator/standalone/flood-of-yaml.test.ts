/**
 * The stories: a Secret of 50,000 keys, a mebibyte as Kubernetes allows, held standalone for 35 s, since the parser compares
 * each key with each; a file with a fault at every second byte took 16 s and told 100,000 of them.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Manifests, readManifests } from '../../../operator/standalone/manifests.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

async function read(files: Readonly<Record<string, string>>): Promise<Manifests> {
  await using folder = await temporaryFolder();
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text);
  return await readManifests(folder.path);
}

/** User CPU seconds, which other processes of the machine do not add to. */
async function cpuSeconds(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  return process.cpuUsage(before).user / 1e6;
}

const secretOf = (keys: number): string =>
  `apiVersion: v1\nkind: Secret\nmetadata: { name: users }\nstringData:\n${Array.from({ length: keys }, (_, index) => `  u${index}: pw`).join('\n')}\n`;

describe('a flood of YAML', () => {
  it('with many keys costs as much as it has keys, not the square of it', { timeout: 60_000 }, async () => {
    await read({ 'a.yaml': secretOf(1000) });
    const some = await cpuSeconds(() => read({ 'a.yaml': secretOf(10_000) }));
    const many = await cpuSeconds(async () => {
      const { secrets, faults } = await read({ 'a.yaml': secretOf(50_000) });
      assert.deepEqual([secrets.get('default/users')?.size, faults], [50_000, []]);
    });
    // Five times the keys: five times the work, with room for the collector; the square would be 25.
    assert.ok(many < 12 * some + 1, `${many} s for 50,000 keys, ${some} s for 10,000`);
  });

  it('still finds a key given twice, wherever it is, and says where', async () => {
    const { faults } = await read({
      'a.yaml': `${secretOf(2)}  u1: other\n`,
      'b.yaml': 'kind: Secret\nkind: Secret\n',
      'c.yaml': 'a: [{ 1: x, "1": y }]\n',
    });
    assert.deepEqual(faults, [
      'a.yaml: Map keys must be unique at line 7, column 3',
      'b.yaml: Map keys must be unique at line 2, column 1',
      'c.yaml: Map keys must be unique at line 1, column 13',
    ]);
  });

  it('tells of a file the first faults, and of a folder as many as a person may read', {
    timeout: 60_000,
  }, async () => {
    const broken = `a: "${'\\x'.repeat(100_000)}"`;
    const { faults } = await read({ 'a.yaml': broken });
    assert.equal(faults.length, 20);
    assert.match(faults[1] ?? '', /^a\.yaml: .* at line 1, column 9$/);
    const files = Array.from({ length: 15 }, (_, index) => [`${index}.yaml`, `a: "${'\\x'.repeat(50)}"`]);
    const all = (await read(Object.fromEntries(files))).faults;
    assert.deepEqual([all.length, all.at(-1)], [201, 'and 100 more faults']);
  });
});
