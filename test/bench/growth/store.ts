/** `node store.ts FOLDER`: what claims and pages cost in a queue that is full, as JSON on standard output. Nothing that it does stays done but its deliveries. */
import type { Claim, Queue } from '../../../relay/queue/queue.ts';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { message } from '../queue-message.ts';

export interface StoreFigures {
  readonly openMs: number;
  /** Processor time of the whole process until then, in milliseconds. */
  readonly openCpuMs: number;
  /** Of 100 due, one after the other, nothing else asked. */
  readonly claimsMs: readonly number[];
  /** Their processor time on all threads: what they would take on a core of their own. */
  readonly claimsCpuMs: readonly number[];
  /** The same while others enqueue: with the wait for the transaction that is under way and for the sync of the own. */
  readonly busyClaimsMs: readonly number[];
  readonly statsMs: number;
  readonly pageEntries: number;
  readonly firstPagesMs: readonly number[];
  readonly lastPagesMs: readonly number[];
}

const claims = 300;
const writers = 20;
const pageEntries = 100;
const pagesCompared = 200;

const queue = await openVolumeQueue({ dataDir: process.argv[2] ?? '', minFreeDiskBytes: () => 0 });
const openMs = performance.now();
const openCpuMs = cpuMs();

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

interface Timed<T> {
  readonly ms: number;
  readonly cpuMs: number;
  readonly value: T;
}

async function timed<T>(work: () => Promise<T>): Promise<Timed<T>> {
  const began = performance.now();
  const cpuBefore = cpuMs();
  const value = await work();
  return { ms: performance.now() - began, cpuMs: cpuMs() - cpuBefore, value };
}

async function deliver(from: Queue, claim: Claim): Promise<void> {
  const outcomes = claim.recipients.map(({ index }) => ({ index, result: 'Delivered' as const }));
  await from.settle({ claim, outcomes, messages: [] });
}

async function claimTimes(): Promise<Timed<unknown>[]> {
  const times: Timed<unknown>[] = [];
  for (let round = 0; round < claims; round += 1) {
    const claim = await timed(() => queue.claim({ limit: 100, limitPerDestination: 20, leaseMs: 600_000 }));
    const { value } = claim;
    if (value.reduce((sum, { recipients }) => sum + recipients.length, 0) !== 100)
      throw new Error('fewer than 100 due');
    times.push({ ...claim, value: undefined });
    await Promise.all(value.map(one => deliver(queue, one)));
  }
  return times;
}

async function whileOthersWrite<T>(work: () => Promise<T>): Promise<T> {
  let isOver = false;
  const writing = Array.from({ length: writers }, async () => {
    while (!isOver) await queue.enqueue(message(4096));
  });
  try {
    return await work();
  } finally {
    isOver = true;
    await Promise.all(writing);
  }
}

/** Times of the first pages and of the last; what lies between is read by larger ones. */
async function pageTimes(): Promise<Pick<StoreFigures, 'firstPagesMs' | 'lastPagesMs'>> {
  let after: string | undefined;
  async function page(limit: number): Promise<number> {
    const { ms, value } = await timed(() => queue.list({}, { limit, ...(after === undefined ? {} : { after }) }));
    after = value.next;
    return ms;
  }
  const firstPagesMs: number[] = [];
  while (firstPagesMs.length < pagesCompared) firstPagesMs.push(await page(pageEntries));
  const left = Object.values((await queue.stats()).depth).reduce((sum, count) => sum + count, 0);
  const compared = pagesCompared * pageEntries;
  for (let read = compared; read < left - compared && after !== undefined; read += 1000) await page(1000);
  const lastPagesMs: number[] = [];
  while (after !== undefined && lastPagesMs.length < pagesCompared) lastPagesMs.push(await page(pageEntries));
  return { firstPagesMs, lastPagesMs };
}

const alone = await claimTimes();
const busyClaimsMs = (await whileOthersWrite(claimTimes)).map(({ ms }) => ms);
const { ms: statsMs } = await timed(() => queue.stats());
const figures: StoreFigures = {
  openMs,
  openCpuMs,
  claimsMs: alone.map(({ ms }) => ms),
  claimsCpuMs: alone.map(({ cpuMs: cpu }) => cpu),
  busyClaimsMs,
  statsMs,
  pageEntries,
  ...(await pageTimes()),
};
await queue.close();
console.log(JSON.stringify(figures));
