import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenRedisQueue, openRedisQueue, type RedisQueueOptions } from '../../../relay/queue/redis/open.ts';
import { readScripts } from '../../../relay/queue/redis/scripts.ts';
import type { RedisOptions } from '../../../relay/redis/options.ts';
import type { Harness } from './conformance.ts';
import { createTestClock, type TestClock } from './messages.ts';

/** The test's time in place of the server's: the last argument of each script. */
const testClockScripts = readScripts('local now = tonumber(ARGV[#ARGV])');
let queues = 0;

export interface RedisHarness extends Harness {
  readonly keyPrefix: string;
  readonly opened: OpenRedisQueue;
  reopen(): Promise<RedisHarness>;
  /** Another relay on the same queue; the test closes it. */
  another(): Promise<OpenRedisQueue>;
}

/** A queue of its own in that Redis. */
export async function openRedis(redis: RedisOptions, options: Partial<RedisQueueOptions> = {}): Promise<RedisHarness> {
  queues += 1;
  const dataDir = await mkdtemp(join(tmpdir(), 'postroad-queue-'));
  return harnessOf(
    { keyPrefix: `test:${process.pid}:${queues}:`, dataDir, redis: () => redis, ...options },
    createTestClock(),
  );
}

async function harnessOf(
  options: Partial<RedisQueueOptions> & Pick<RedisQueueOptions, 'keyPrefix' | 'dataDir' | 'redis'>,
  clock: TestClock,
): Promise<RedisHarness> {
  const all: RedisQueueOptions = {
    durability: () => ({ durability: 'Fsync', minReplicas: 0 }),
    minFreeDiskBytes: () => 0,
    nowMs: () => clock.now(),
    scripts: testClockScripts,
    ...options,
  };
  const opened = await openRedisQueue(all);
  return {
    queue: opened.queue,
    opened,
    clock,
    keyPrefix: all.keyPrefix,
    another: () => openRedisQueue(all),
    async reopen() {
      await opened.queue.close();
      return harnessOf(options, clock);
    },
    async end() {
      await opened.queue.close();
      await rm(all.dataDir, { recursive: true, force: true });
    },
  };
}

export function single(port: number): RedisOptions {
  return { type: 'Single', addresses: [{ host: '127.0.0.1', port }], database: 0 };
}
