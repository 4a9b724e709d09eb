/**
 * The story: the queue's database was made with the mode that the process happened to have, 0644. In a data folder that was made
 * beforehand with the usual 0755 (by systemd, by a volume) every user of the machine could read the mail in it.
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RelayConfigInput } from '../../relay/config.ts';
import { startProcess } from '../support/processes.ts';
import { relayConfig } from '../support/relay-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

const main = new URL('../../relay/main.ts', import.meta.url).pathname;

test('nobody else may read what the relay keeps, whoever made its data folder', { timeout: 60_000 }, async () => {
  await using folder = await temporaryFolder();
  const dataDir = join(folder.path, 'data');
  await mkdir(dataDir, { mode: 0o755 });
  const config: RelayConfigInput = relayConfig({ route: { type: 'Capture' } });
  await writeFile(join(folder.path, 'relay.json'), JSON.stringify(config));
  const lines: string[] = [];
  const relay = startProcess(
    process.execPath,
    [main, '--config', join(folder.path, 'relay.json'), '--data-dir', dataDir],
    { onLine: line => lines.push(line) },
  );
  try {
    await waitUntil('the relay is ready', () => lines.some(line => line.includes('"msg":"ready"')), {
      limitMs: 30_000,
    });
    const names = await readdir(dataDir, { recursive: true });
    assert.ok(names.includes('queue.db'), names.join(', '));
    for (const name of names) {
      const { mode } = await stat(join(dataDir, name));
      assert.equal(mode & 0o077, 0, `${name}: ${(mode & 0o777).toString(8)}`);
    }
  } finally {
    await relay.stop('SIGTERM', 30_000);
  }
});
