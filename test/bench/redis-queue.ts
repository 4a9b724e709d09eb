/**
 * What the Redis store alone can do: `node test/bench/redis-queue.ts [seconds]`, on a machine that does nothing else.
 *
 *   flow     each message born leased and settled at once, as a relay at work does: messages a second, CPU of client and server per 1,000
 *   waits    each message born Waiting, claimed by 200 and settled
 *   memory   of the server for each queued message, by size and by what it holds; what is left after all are settled
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Claim, Queue } from '../../relay/queue/queue.ts';
import { openRedisQueue } from '../../relay/queue/redis/open.ts';
import { type RedisPeer, startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { messageOf } from './queue-message.ts';

const seconds = Number(process.argv[2] ?? 5);
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

async function measure(redis: RedisPeer, what: string, work: (until: number) => Promise<number>): Promise<void> {
  const [cpu, before, began] = [process.cpuUsage(), await usageOf(redis), performance.now()];
  const done = await work(began + seconds * 1000);
  const took = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const after = await usageOf(redis);
  const per = (value: number): string => (value / done).toFixed(3);
  console.log(
    `${what}: ${(done / took).toFixed(0)} messages/s; a message: ${per(after.commands - before.commands)} commands, ${per(after.reads - before.reads)} reads of the server's sockets; ` +
      `a thousand: client ${(((user + system) / 1e6 / done) * 1000).toFixed(3)} CPU s, Redis ${(((after.cpuSeconds - before.cpuSeconds) / done) * 1000).toFixed(3)} CPU s`,
  );
}

const settle = (queue: Queue, claim: Claim): Promise<void> =>
  queue.settle({
    claim,
    outcomes: claim.recipients.map(({ index }) => ({ index, result: 'Delivered' })),
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

async function memory(redis: RedisPeer, queue: Queue, what: string, make: () => Buffer): Promise<void> {
  const count = 2000;
  const before = await usageOf(redis);
  for (let n = 0; n < count; n += 100)
    await Promise.all(Array.from({ length: 100 }, () => queue.enqueue(messageOf(make()))));
  const after = await usageOf(redis);
  console.log(
    `memory, ${what}: ${((after.memoryBytes - before.memoryBytes) / count).toFixed(0)} bytes a queued message`,
  );
  for (let claims = [{}] as Claim[]; claims.length > 0; ) {
    claims = await queue.claim({ limit: 200, limitPerDestination: 200, leaseMs: 60_000 });
    await Promise.all(claims.map(claim => settle(queue, claim)));
  }
}

await using folder = await temporaryFolder();
await using redis = await startRedis(folder.path);
const dataDir = await mkdtemp(join(tmpdir(), 'postroad-bench-'));
const { queue } = await openRedisQueue({
  redis: () => ({ type: 'Single', addresses: [{ host: '127.0.0.1', port: redis.port }], database: 0 }),
  keyPrefix: 'bench:',
  durability: () => ({ durability: 'Fsync', minReplicas: 0 }),
  dataDir,
  minFreeDiskBytes: () => 0,
});
await queue.probe();
for (const [name, size] of [
  ['4 KiB', 4096],
  ['100 KiB', 102_400],
] as const) {
  for (const [kind, make] of Object.entries(kinds)) {
    const bytes = make(size);
    await measure(redis, `flow, ${name} ${kind}`, until => flow(queue, bytes, until));
    await measure(redis, `waits, ${name} ${kind}`, until => waits(queue, bytes, until));
    await memory(redis, queue, `${name} ${kind}`, () => make(size));
  }
}
await queue.close();
console.log(
  `left: ${(await redis.ask('--scan', '--pattern', 'bench:*'))
    .split('\n')
    .filter(key => !key.includes(':gone:'))
    .join(' ')}`,
);
await rm(dataDir, { recursive: true, force: true });
