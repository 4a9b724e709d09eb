/** The load: Postfix's smtp-source where it can, else our own generator (TLS, many destinations), which is slower and says so in the shares. */
import { readFile } from 'node:fs/promises';
import { mustRun } from '../../support/processes.ts';
import { monotonicMs } from './sink-ledger.ts';

export interface Load {
  /** One generator each, at the same time. */
  readonly ports: readonly number[];
  readonly run: number;
  readonly messages: number;
  readonly sizeBytes: number;
  readonly sessions: number;
  /** Many messages a session, or one. */
  readonly reuse: boolean;
  /** STARTTLS, resuming the session where the relay lets us. */
  readonly tls: boolean;
  readonly destinations: number;
}

export interface LoadResult {
  readonly startMs: number;
  /** Of the reply to the last message, or of the last session's end. */
  readonly endMs: number;
  readonly cpuSeconds: number;
}

const limitMs = 180_000;
export const reversePath = 'a@example.com';

/** @throws when any reply is other than expected. */
export async function generate(load: Load): Promise<LoadResult> {
  const before = await endedChildrenTicks();
  const { startMs, endMs } = load.tls || load.destinations > 1 ? await own(load) : await smtpSource(load);
  return { startMs, endMs, cpuSeconds: ((await endedChildrenTicks()) - before) / 100 };
}

async function smtpSource(load: Load): Promise<{ startMs: number; endMs: number }> {
  const startMs = monotonicMs();
  const shares = load.ports.map((port, at) => ({
    port,
    sessions: share(load.sessions, load.ports.length, at),
    messages: share(load.messages, load.ports.length, at),
    // `-N` puts a number before it; the digit behind that number keeps several generators apart.
    recipient: `${load.ports.length > 1 ? at : ''}r${load.run}@example.net`,
  }));
  await Promise.all(shares.map(one => oneSmtpSource({ ...load, ...one })));
  return { startMs, endMs: monotonicMs() };
}

async function oneSmtpSource(load: Load & { port: number; recipient: string }): Promise<void> {
  const options = ['-N', '-M', 'generator.test', '-f', reversePath, '-t', load.recipient];
  const amounts = { s: load.sessions, m: load.messages, l: load.sizeBytes };
  for (const [name, amount] of Object.entries(amounts)) options.push(`-${name}`, String(amount));
  if (load.reuse) options.push('-d');
  await mustRun('smtp-source', [...options, `127.0.0.1:${load.port}`], { timeoutMs: limitMs });
}

/** Of `whole`, for the n-th of so many. */
function share(whole: number, parts: number, at: number): number {
  return Math.floor(whole / parts) + (at < whole % parts ? 1 : 0);
}

async function own(load: Load): Promise<{ startMs: number; endMs: number }> {
  const file = new URL('generator-process.ts', import.meta.url).pathname;
  const text = await mustRun(process.execPath, [file, JSON.stringify(load)], { timeoutMs: limitMs });
  return JSON.parse(text) as { startMs: number; endMs: number };
}

/** proc(5): cutime and cstime, of children that ended and were waited for. */
async function endedChildrenTicks(): Promise<number> {
  const text = await readFile('/proc/self/stat', 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(fields[13]) + Number(fields[14]);
}
