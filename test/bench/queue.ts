/**
 * What the Volume store alone can do: `node test/bench/queue.ts [rates|flow|backlog]`, on a machine that does nothing else.
 *
 *   rates    durable enqueues, claims and settlements a second with 100 writers, 4 KiB and 64 KiB
 *   flow     each message born leased and settled at once, as a relay at work does; CPU seconds per 1,000 messages
 *   backlog  1,000,000 recipients over 100,000 destinations: time to open, claim of 100 due, memory, length of a sync
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Claim, NewMessage, Queue } from '../../relay/queue/queue.ts';
import { openVolumeQueue } from '../../relay/queue/sqlite/store.ts';

const writers = Number(process.env['WRITERS'] ?? 100);
const head = Buffer.alloc(600, 'h');
let messages = 0;

function message(sizeBytes: number, destination = 'smart-host/relay', domain = 'example.net'): NewMessage {
  messages += 1;
  const now = Date.now();
  const bytes = Buffer.alloc(sizeBytes, 'c');
  const content = {
    sizeBytes,
    bytes,
    async *read() {
      yield bytes;
    },
  };
  return {
    id: `01JXYZ${String(messages).padStart(20, '0')}`,
    sender: {
      reversePath: { text: 'orders@shop.example.com', localPart: 'orders', domain: 'shop.example.com' },
      body: '8BITMIME',
      smtputf8: false,
      requireTls: false,
    },
    tenant: 'shop',
    policy: 'shop/shop',
    receivedTimeMs: now,
    expiryTimeMs: now + 432_000_000,
    head,
    content,
    recipients: [{ forwardPath: `someone@${domain}`, domain, destination, notify: [] }],
  };
}

interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly mainCpuSeconds: number;
}

async function measure(work: () => Promise<unknown>): Promise<Measured> {
  const began = performance.now();
  const cpu = process.cpuUsage();
  const main = process.threadCpuUsage();
  await work();
  const { user, system } = process.cpuUsage(cpu);
  const own = process.threadCpuUsage(main);
  return {
    seconds: (performance.now() - began) / 1000,
    cpuSeconds: (user + system) / 1e6,
    mainCpuSeconds: (own.user + own.system) / 1e6,
  };
}

/** `writers` at once, each one after the other, until `count` are done. */
async function spread(count: number, one: () => Promise<unknown>): Promise<void> {
  let left = count;
  async function writer(): Promise<void> {
    while (left > 0) {
      left -= 1;
      await one();
    }
  }
  await Promise.all(Array.from({ length: writers }, writer));
}

function report(name: string, count: number, { seconds, cpuSeconds, mainCpuSeconds }: Measured): void {
  const cpu = ((cpuSeconds / count) * 1000).toFixed(4);
  const main = ((mainCpuSeconds / count) * 1000).toFixed(4);
  console.log(
    `${name.padEnd(28)} ${Math.round(count / seconds)}/s  CPU s per 1,000: ${cpu}, of it main thread ${main}`,
  );
}

function delivered(queue: Queue, claim: Claim): Promise<void> {
  const outcomes = claim.recipients.map(({ index }) => ({ index, result: 'Delivered' as const }));
  return queue.settle({ claim, outcomes, messages: [] });
}

async function rates(queue: Queue, sizeBytes: number, count: number): Promise<void> {
  const size = `${sizeBytes / 1024} KiB`;
  report(`enqueue ${size}`, count, await measure(() => spread(count, () => queue.enqueue(message(sizeBytes)))));
  const claims: Claim[] = [];
  const claiming = await measure(async () => {
    while (claims.length < count) {
      claims.push(...(await queue.claim({ limit: 100, limitPerDestination: 100, leaseMs: 600_000 })));
    }
  });
  report(`claim ${size}`, count, claiming);
  const settling = await measure(() =>
    spread(count, async () => {
      const claim = claims.pop();
      if (claim !== undefined) await delivered(queue, claim);
    }),
  );
  report(`settle ${size}`, count, settling);
}

async function flow(queue: Queue, sizeBytes: number, count: number): Promise<void> {
  const one = async () => {
    const claims = await queue.enqueue(message(sizeBytes), { leaseMs: 600_000 });
    for (const claim of claims) await delivered(queue, claim);
  };
  report(`flow ${sizeBytes / 1024} KiB`, count, await measure(() => spread(count, one)));
}

function rssMib(): number {
  return Math.round(process.memoryUsage().rss / 2 ** 20);
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function backlog(dataDir: string): Promise<void> {
  const recipients = Number(process.env['RECIPIENTS'] ?? 1_000_000);
  const destinations = Math.ceil(recipients / 10);
  const filling = await openVolumeQueue({ dataDir, minFreeDiskBytes: () => 0 });
  let n = 0;
  const filled = await measure(() =>
    spread(recipients, () => {
      n += 1;
      const domain = `d${n % destinations}.example.net`;
      return filling.enqueue(message(1024, `direct/${domain}`, domain));
    }),
  );
  report(`enqueue 1 KiB, spread out`, recipients, filled);
  await filling.close();
  const began = performance.now();
  const queue = await openVolumeQueue({ dataDir, minFreeDiskBytes: () => 0 });
  console.log(`open with ${recipients} queued: ${Math.round(performance.now() - began)} ms, RSS ${rssMib()} MiB`);
  const times: number[] = [];
  for (let round = 0; round < 300; round += 1) {
    const asked = performance.now();
    const claims = await queue.claim({ limit: 100, limitPerDestination: 20, leaseMs: 600_000 });
    times.push(performance.now() - asked);
    await Promise.all(claims.map(claim => delivered(queue, claim)));
  }
  times.sort((a, b) => a - b);
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)];
  console.log(`claim of 100 due: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms; RSS ${rssMib()} MiB`);
  const stats = await measure(() => queue.stats());
  const counting = await measure(() => queue.count({ domain: 'd7.example.net' }));
  console.log(
    `stats ${(stats.seconds * 1000).toFixed(1)} ms, count of one domain ${(counting.seconds * 1000).toFixed(0)} ms`,
  );
  await queue.close();
}

async function main(): Promise<void> {
  const only = process.argv[2];
  const dataDir = await mkdtemp(join(tmpdir(), 'postroad-bench-'));
  try {
    if (only !== 'backlog') {
      const queue = await openVolumeQueue({ dataDir: join(dataDir, 'rates'), minFreeDiskBytes: () => 0 });
      if (only !== 'rates') {
        await flow(queue, 4096, 60_000);
        await flow(queue, 65_536, 6000);
      }
      if (only !== 'flow') {
        await rates(queue, 4096, 60_000);
        await rates(queue, 65_536, 4000);
      }
      await queue.close();
    }
    if (only === undefined || only === 'backlog') await backlog(join(dataDir, 'backlog'));
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

await main();
