import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = new URL('../golden/', import.meta.url);

/** Compares with `test/golden/<name>`. With POSTROAD_GOLDEN=write it writes the file: what changed is then for git to show. */
export async function assertGolden(name: string, bytes: Buffer): Promise<void> {
  const file = fileURLToPath(new URL(name, folder));
  if (process.env['POSTROAD_GOLDEN'] === 'write') {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
  assert.equal(
    bytes.toString('latin1'),
    (await readFile(file)).toString('latin1'),
    `${name} (POSTROAD_GOLDEN=write rewrites it)`,
  );
}
