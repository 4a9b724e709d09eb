/** One measured run: load on one side of a relay, the sink on the other, and what it cost in between. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Case } from './cases.ts';
import { generate } from './generator.ts';
import type { Sink } from './sink.ts';
import { cpuSecondsOf, type Memory, machineCpuSeconds, memoryOf } from './usage.ts';

export interface Figures {
  readonly messages: number;
  readonly acceptedPerSecond: number;
  readonly endToEndPerSecond: number;
  readonly seconds: number;
  readonly cpuPerThousand: number;
  readonly peak: Memory;
  /** Processor time by 1,000 messages of the two ends. */
  readonly generatorCpuPerThousand: number;
  readonly sinkCpuPerThousand: number;
  /** Parts of all processor time there was: of the sink's one core, of strangers on the machine. */
  readonly sinkBusy: number;
  readonly strangersBusy: number;
  readonly duplicates: number;
  readonly connections: number;
}

export interface Subject {
  readonly ports: readonly number[];
  readonly pids: readonly number[];
}

const completeLimitMs = 120_000;
const memoryEveryMs = 500;
/** The relay is done with its own work when it rests for so long. */
const restMs = 300;
const restLimitMs = 15_000;

let lastRun = 0;

export async function measure(subject: Subject, sink: Sink, one: Case, messages: number): Promise<Figures> {
  lastRun += 1;
  const run = lastRun;
  await sink.begin({ run, expected: messages, deferEvery: one.deferEvery, looksForSignatures: one.dkim });
  const before = await readCosts(subject, sink);
  const stopWatching = watchMemory(subject.pids);
  let peak: Memory;
  let load: Awaited<ReturnType<typeof generate>>;
  let counts: Awaited<ReturnType<Sink['complete']>>;
  try {
    load = await generate({ ...one, ports: subject.ports, run, messages });
    counts = await sink.complete(completeLimitMs);
  } finally {
    peak = await stopWatching();
  }
  const atEnd = await readCosts(subject, sink);
  const rested = await restedCpu(subject.pids);
  check(one, await sink.counts(), messages);
  const seconds = (counts.lastMs - load.startMs) / 1000;
  const perThousand = 1000 / messages;
  const known =
    atEnd.subject - before.subject + (atEnd.sink - before.sink) + load.cpuSeconds + (atEnd.bench - before.bench);
  const wallSeconds = (atEnd.timeMs - before.timeMs) / 1000;
  return {
    messages,
    seconds,
    acceptedPerSecond: messages / ((load.endMs - load.startMs) / 1000),
    endToEndPerSecond: messages / seconds,
    cpuPerThousand: (rested - before.subject) * perThousand,
    peak,
    generatorCpuPerThousand: load.cpuSeconds * perThousand,
    sinkCpuPerThousand: (atEnd.sink - before.sink) * perThousand,
    sinkBusy: (atEnd.sink - before.sink) / wallSeconds,
    strangersBusy: Math.max(0, atEnd.machine - before.machine - known) / wallSeconds,
    duplicates: counts.duplicates,
    connections: counts.connections,
  };
}

interface Costs {
  readonly timeMs: number;
  readonly subject: number;
  readonly sink: number;
  readonly machine: number;
  readonly bench: number;
}

async function readCosts({ pids }: Subject, sink: Sink): Promise<Costs> {
  const [subject, ofSink, machine] = await Promise.all([
    cpuSecondsOf(pids),
    cpuSecondsOf([sink.pid]),
    machineCpuSeconds(),
  ]);
  const { user, system } = process.cpuUsage();
  return { timeMs: performance.now(), subject, sink: ofSink, machine, bench: (user + system) / 1e6 };
}

function watchMemory(pids: readonly number[]): () => Promise<Memory> {
  const stopped = new AbortController();
  const peak = { rssBytes: 0, pssBytes: 0 };
  async function look(): Promise<void> {
    const { rssBytes, pssBytes } = await memoryOf(pids);
    peak.rssBytes = Math.max(peak.rssBytes, rssBytes);
    peak.pssBytes = Math.max(peak.pssBytes, pssBytes);
  }
  async function watch(): Promise<void> {
    while (!stopped.signal.aborted) {
      await look();
      await delay(memoryEveryMs, undefined, { signal: stopped.signal }).catch((error: unknown) => {
        if (!stopped.signal.aborted) throw error;
      });
    }
  }
  const watching = watch();
  return async () => {
    stopped.abort();
    await watching;
    await look();
    return peak;
  };
}

/** The last message's arrival is not the relay's last work: it settles, removes files, writes its log. */
async function restedCpu(pids: readonly number[]): Promise<number> {
  const deadline = performance.now() + restLimitMs;
  let last = await cpuSecondsOf(pids);
  while (performance.now() < deadline) {
    await delay(restMs);
    const now = await cpuSecondsOf(pids);
    // One tick may go to what a relay does when idle.
    if (now - last < 0.015) return now;
    last = now;
  }
  return last;
}

interface Seen {
  readonly taken: number;
  readonly duplicates: number;
  readonly strays: number;
  readonly signed: number;
  readonly deferred: number;
}

function check(one: Case, seen: Seen, messages: number): void {
  const faults = [
    seen.taken !== messages && 'not all arrived',
    seen.duplicates > 0 && 'duplicates',
    one.dkim && seen.signed < messages && 'unsigned messages',
    seen.deferred !== (one.deferEvery > 0 ? Math.floor(messages / one.deferEvery) : 0) && 'deferrals',
  ].filter(fault => fault !== false);
  if (faults.length > 0) throw new Error(`${faults.join(', ')}: ${JSON.stringify(seen)} of ${messages}`);
}
