import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Queue } from '../../../relay/queue/queue.ts';
import { openVolumeQueue, type VolumeQueueOptions } from '../../../relay/queue/sqlite/store.ts';
import type { Harness } from './conformance.ts';
import { createTestClock, type TestClock } from './messages.ts';

/** A log of 1 MiB, so that opening costs a test little. */
export const smallWal = { walBytes: 2 ** 20 };

export function makeDataDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'postroad-queue-'));
}

export type SqliteOptions = Partial<VolumeQueueOptions>;

export interface SqliteHarness extends Harness {
  readonly dataDir: string;
  reopen(): Promise<SqliteHarness>;
}

export async function openSqlite(options: SqliteOptions = {}): Promise<SqliteHarness> {
  const dataDir = options.dataDir ?? (await makeDataDir());
  return harnessOf(dataDir, createTestClock(), options);
}

async function harnessOf(dataDir: string, clock: TestClock, options: SqliteOptions): Promise<SqliteHarness> {
  const queue: Queue = await openVolumeQueue({ minFreeDiskBytes: () => 0, clock, ...smallWal, ...options, dataDir });
  return {
    queue,
    clock,
    dataDir,
    async reopen() {
      await queue.close();
      return harnessOf(dataDir, clock, options);
    },
    async end() {
      await queue.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
