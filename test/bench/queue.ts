/**
 * What the Volume store alone can do: `node test/bench/queue.ts [rates|flow]`, on a machine that does nothing else.
 *
 *   rates    durable enqueues, claims and settlements a second with 100 writers, 4 KiB and 64 KiB
 *   flow     each message born leased and settled at once, as a relay at work does; CPU seconds per 1,000 messages
 *
 * With a million messages in it: test/bench/growth.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Claim, Queue } from '../../relay/queue/queue.ts';
import { openVolumeQueue } from '../../relay/queue/sqlite/store.ts';
import { message } from './queue-message.ts';

const writers = Number(process.env['WRITERS'] ?? 100);

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

async function main(): Promise<void> {
  const only = process.argv[2];
  const dataDir = await mkdtemp(join(tmpdir(), 'postroad-bench-'));
  try {
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
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

await main();
