/**
 * What the Redis store alone can do.
 *
 *   flow     each message born leased and settled at once, as a relay at work does: messages a second, CPU of client and server per 1,000
 *   waits    each message born Waiting, claimed by 200 and settled
 *   memory   of the server for each queued message, by size and by what it holds; what is left after all are settled
 */
import { randomBytes } from 'node:crypto';
import type { Claim, Queue } from '../../../relay/queue/queue.ts';
import { openRedisQueue } from '../../../relay/queue/redis/open.ts';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { type RedisPeer, startRedis } from '../../support/redis.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { messageOf } from '../queue-message.ts';
import { leftIn } from '../relay/redis-contender.ts';
import { spreadOf } from '../relay/statistics.ts';

export interface StoreOptions {
  /** Of each measurement. */
  readonly seconds: number;
  readonly say: (line: string) => void;
}

const writers = 100;

/** As mail is: text, and attachments in base64. */
const kinds = {
  text: (size: number) => {
    const words = 'the mail was sent to you because your order has left our house today and will arrive soon '.split(
      ' ',
    );
    let text = '';
    while (text.length < size)
      text += `${words[Math.floor(Math.random() * words.length)]} ${Math.random() < 0.1 ? '\r\n' : ''}`;
    return Buffer.from(text.slice(0, size));
  },
  base64: (size: number) => Buffer.from(randomBytes(size).toString('base64').slice(0, size)),
};

interface Usage {
  readonly commands: number;
  readonly reads: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

async function usageOf(redis: RedisPeer): Promise<Usage> {
  const info = await redis.ask('INFO', 'everything');
  const field = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0);
  return {
    commands: field('total_commands_processed'),
    reads: field('total_reads_processed'),
    cpuSeconds: field('used_cpu_user') + field('used_cpu_sys'),
    memoryBytes: field('used_memory'),
  };
}

async function measure(
  redis: RedisPeer,
  what: string,
  work: (until: number) => Promise<number>,
  { seconds, say }: StoreOptions,
): Promise<number> {
  const [cpu, before, began] = [process.cpuUsage(), await usageOf(redis), performance.now()];
  const done = await work(began + seconds * 1000);
  const took = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const after = await usageOf(redis);
  const per = (value: number): string => (value / done).toFixed(3);
  say(
    `${what}: ${(done / took).toFixed(0)} messages/s; a message: ${per(after.commands - before.commands)} commands, ${per(after.reads - before.reads)} reads of the server's sockets; ` +
      `a thousand: client ${(((user + system) / 1e6 / done) * 1000).toFixed(3)} CPU s, Redis ${(((after.cpuSeconds - before.cpuSeconds) / done) * 1000).toFixed(3)} CPU s`,
  );
  return done / took;
}

const settle = (queue: Queue, claim: Claim): Promise<void> =>
  queue.settle({
    claim,
    outcomes: claim.recipients.map(({ index }) => ({ index, result: 'Delivered' })),
    messages: [],
  });

/** Due again at once. */
const defer = (queue: Queue, claim: Claim): Promise<void> =>
  queue.settle({
    claim,
    outcomes: claim.recipients.map(({ index }) => ({
      index,
      result: 'Deferred',
      nextAttemptTimeMs: Date.now(),
      attempted: true,
      delayWarned: false,
      reason: 'ConnectFailed',
    })),
    messages: [],
  });

async function flow(queue: Queue, bytes: Buffer, until: number): Promise<number> {
  let done = 0;
  async function writer(): Promise<void> {
    while (performance.now() < until) {
      for (const claim of await queue.enqueue(messageOf(bytes), { leaseMs: 60_000 })) await settle(queue, claim);
      done += 1;
    }
  }
  await Promise.all(Array.from({ length: writers }, writer));
  return done;
}

async function waits(queue: Queue, bytes: Buffer, until: number): Promise<number> {
  let done = 0;
  while (performance.now() < until) {
    await Promise.all(Array.from({ length: 200 }, () => queue.enqueue(messageOf(bytes))));
    const claims = await queue.claim({ limit: 200, limitPerDestination: 200, leaseMs: 60_000 });
    await Promise.all(claims.map(claim => settle(queue, claim)));
    done += claims.length;
  }
  return done;
}

interface Remembered {
  readonly what: string;
  readonly make: () => Buffer;
  /** Leased: it could be delivered at once, and was not. */
  readonly born: 'Waiting' | 'Leased';
}

async function memory(redis: RedisPeer, queue: Queue, { what, make, born }: Remembered): Promise<string> {
  const count = 2000;
  const lease = born === 'Leased' ? { leaseMs: 60_000 } : undefined;
  const before = await usageOf(redis);
  for (let n = 0; n < count; n += 100) {
    const stored = await Promise.all(Array.from({ length: 100 }, () => queue.enqueue(messageOf(make()), lease)));
    await Promise.all(stored.flat().map(claim => defer(queue, claim)));
  }
  const after = await usageOf(redis);
  for (let claims = [{}] as Claim[]; claims.length > 0; ) {
    claims = await queue.claim({ limit: 200, limitPerDestination: 200, leaseMs: 60_000 });
    await Promise.all(claims.map(claim => settle(queue, claim)));
  }
  const bytes = (after.memoryBytes - before.memoryBytes) / count;
  return `memory, ${what}, ${born === 'Leased' ? 'deferred' : 'waiting'}: ${bytes.toFixed(0)} bytes a queued message`;
}

/** Both in turn, three times: what each of them does with the same writers. */
async function besideVolume(redis: RedisPeer, queue: Queue, options: StoreOptions): Promise<void> {
  await using folder = await temporaryFolder();
  const volume = await openVolumeQueue({ dataDir: folder.path, minFreeDiskBytes: () => 0 });
  const bytes = kinds.base64(4096);
  const ratios: number[] = [];
  for (let pair = 0; pair < 3; pair += 1) {
    const ofVolume = await rateOf(until => flow(volume, bytes, until), options);
    const ofRedis = await measure(redis, 'flow, 4 KiB base64', until => flow(queue, bytes, until), options);
    options.say(`volume: ${ofVolume.toFixed(0)} messages/s`);
    ratios.push(ofRedis / ofVolume);
  }
  const { min, median, max } = spreadOf(ratios);
  options.say(`store alone, Redis / volume: ${[min, median, max].map(ratio => ratio.toFixed(2)).join('/')}`);
  await volume.close();
}

async function rateOf(work: (until: number) => Promise<number>, { seconds }: StoreOptions): Promise<number> {
  const began = performance.now();
  const done = await work(began + seconds * 1000);
  return done / ((performance.now() - began) / 1000);
}

export async function storeFigures(options: StoreOptions): Promise<void> {
  await using folder = await temporaryFolder();
  await using redis = await startRedis(folder.path);
  const { queue } = await openRedisQueue({
    redis: () => ({ type: 'Single', addresses: [{ host: '127.0.0.1', port: redis.port }], database: 0 }),
    keyPrefix: 'bench:',
    durability: () => ({ durability: 'Fsync', minReplicas: 0 }),
    dataDir: folder.path,
    minFreeDiskBytes: () => 0,
  });
  await queue.probe();
  await besideVolume(redis, queue, options);
  for (const [name, size] of [
    ['4 KiB', 4096],
    ['100 KiB', 102_400],
  ] as const) {
    for (const [kind, make] of Object.entries(kinds)) {
      const bytes = make(size);
      await measure(redis, `flow, ${name} ${kind}`, until => flow(queue, bytes, until), options);
      await measure(redis, `waits, ${name} ${kind}`, until => waits(queue, bytes, until), options);
      for (const born of ['Waiting', 'Leased'] as const)
        options.say(await memory(redis, queue, { what: `${name} ${kind}`, make: () => make(size), born }));
    }
  }
  await queue.close();
  options.say(`left after all are settled, besides the books: ${await leftIn(redis, 'bench:')}`);
}
