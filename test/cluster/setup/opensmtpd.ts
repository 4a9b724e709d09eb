/** Debian's OpenSMTPD, unpacked: as a package it cannot be installed beside Postfix. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../../setup/go-programs.ts';
import { mustRun } from '../../support/processes.ts';

/** Its files as they would lie below `/`. */
export const openSmtpdFolder = (): string => join(cacheRoot(), 'opensmtpd');

/** By this machine's own apt, once; where that fails, the journey that needs it says so. */
export async function setUpOpenSmtpd(say: (line: string) => void): Promise<void> {
  const folder = openSmtpdFolder();
  if (existsSync(folder)) return;
  const making = `${folder}.${process.pid}`;
  await mkdir(making, { recursive: true });
  try {
    await mustRun('apt-get', ['-qq', 'download', 'opensmtpd'], { cwd: making, timeoutMs: 120_000 });
    const [archive = ''] = await readdir(making);
    await mustRun('dpkg', ['-x', archive, 'root'], { cwd: making });
    // Another run may have been quicker.
    if (!existsSync(folder)) await rename(join(making, 'root'), folder);
    say('set-up: OpenSMTPD is unpacked');
  } catch (error) {
    say(`set-up: OpenSMTPD: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}
