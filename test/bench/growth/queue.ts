/**
 * A queue that holds a million messages: fill -> a relay that tries to deliver them (no name server answers) -> SIGKILL -> ready again -> the store alone.
 * The relay's memory is that of a relay at work: each destination has been tried, has its back-off and its log line.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../support/free-port.ts';
import { mustRun, runProcess } from '../../support/processes.ts';
import { RawClient } from '../../support/raw-client.ts';
import {
  assertConservation,
  metric,
  queuedRecipients,
  relayConfig,
  startRelayProcess,
} from '../../support/relay-process.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { cpuSecondsOf } from '../relay/usage.ts';
import { below, type CaseContext, type Finding, percentile } from './finding.ts';
import type { StoreFigures } from './store.ts';

export interface QueueCase {
  readonly messages: number;
  readonly destinations: number;
  /** How long the relay may try before it is killed. */
  readonly workSeconds: number;
}

const limitMs = 1_200_000;
/** Some 500 looks at the loop, so that a percentile is one. */
const scrapeSeconds = 10;
const own = (name: string): string => new URL(name, import.meta.url).pathname;

export async function growQueue(size: QueueCase, { entry, nodeFlags, say }: CaseContext): Promise<Finding[]> {
  await using folder = await temporaryFolder();
  const dataDir = join(folder.path, 'data');
  const begun = performance.now();
  const { signal, stderr } = await runProcess(
    process.execPath,
    [own('fill.ts'), dataDir, String(size.messages), String(size.destinations)],
    { timeoutMs: limitMs },
  );
  if (signal !== 'SIGKILL' || !existsSync(dataDir)) throw new Error(`the queue was not filled: ${stderr}`);
  say(
    `${size.messages} messages for ${size.destinations} destinations after ${((performance.now() - begun) / 1000).toFixed(0)} s`,
  );
  const ofRelay = await relayAtWork(size, dataDir, { entry, nodeFlags, say });
  const store = JSON.parse(await mustRun(process.execPath, [own('store.ts'), dataDir], { timeoutMs: limitMs }));
  return [...ofRelay, ...ofStore(store as StoreFigures)];
}

async function relayAtWork(size: QueueCase, dataDir: string, { entry, nodeFlags }: CaseContext): Promise<Finding[]> {
  const nobody = `127.0.0.1:${await freePort()}`;
  const config = relayConfig({ route: { type: 'Direct' }, nameservers: [nobody] });
  await using relay = await startRelayProcess(config, { entry, nodeFlags, dataDir });
  const lagsMs: number[] = [];
  await relay.metrics();
  for (let seconds = 0; seconds < size.workSeconds; seconds += scrapeSeconds) {
    await delay(scrapeSeconds * 1000);
    lagsMs.push(metric(await relay.metrics(), 'postroad_process_event_loop_lag_seconds') * 1000);
  }
  const values = await relay.metrics();
  assertConservation(values);
  const tried = metric(values, 'postroad_queue_accepted_recipients_total');
  if (tried !== size.messages || queuedRecipients(values) !== size.messages) throw new Error(`${tried} were accepted`);
  const peakBytes = await relay.peakMemoryBytes();
  await relay.kill();
  await relay.start();
  const readyCpuSeconds = await cpuSecondsOf([relay.pid]);
  const asked = performance.now();
  const client = await RawClient.open(relay.port());
  const sent = await client.send({
    reversePath: 'me@example.com',
    recipients: ['you@next.example'],
    content: Buffer.from('From: me@example.com\r\n\r\nnew\r\n'),
  });
  if (sent.outcome !== 'accepted') throw new Error(JSON.stringify(sent));
  const servedMs = performance.now() - asked;
  await client.quit();
  return [
    below('relay, peak RSS while it tries them', peakBytes, 400 * 2 ** 20, 'MiB'),
    {
      what: `event-loop lag at p99 of each ${scrapeSeconds} s: p50`,
      measured: `${percentile(lagsMs, 0.5).toFixed(0)} ms`,
    },
    below('the highest of them', Math.max(...lagsMs), 50, 'ms'),
    below('ready after SIGKILL, process start included', relay.readyMs, 5000, 'ms'),
    { what: 'processor time of it', measured: `${(readyCpuSeconds * 1000).toFixed(0)} ms` },
    { what: 'a new client has its 250 after', measured: `${servedMs.toFixed(0)} ms` },
    below('peak RSS of that start', await relay.peakMemoryBytes(), 400 * 2 ** 20, 'MiB'),
  ];
}

function ofStore(figures: StoreFigures): Finding[] {
  const { claimsMs, firstPagesMs, lastPagesMs, pageEntries } = figures;
  const [early, late] = [percentile(firstPagesMs, 0.5), percentile(lastPagesMs, 0.5)];
  return [
    {
      what: 'store alone: open, process start included; processor time of it',
      measured: `${figures.openMs.toFixed(0)} ms; ${figures.openCpuMs.toFixed(0)} ms`,
    },
    { what: 'claim of the next 100 due: p50', measured: shown(claimsMs, 0.5) },
    below('claim of the next 100 due: p99', percentile(claimsMs, 0.99), 10, 'ms'),
    { what: 'processor time of it: p50, p99', measured: shown(figures.claimsCpuMs, 0.5, 0.99) },
    { what: 'the same claim while 20 others enqueue: p50, p99', measured: shown(figures.busyClaimsMs, 0.5, 0.99) },
    { what: 'stats', measured: `${figures.statsMs.toFixed(2)} ms` },
    { what: `pages of ${pageEntries}, the first 200: p50, p99`, measured: shown(firstPagesMs, 0.5, 0.99) },
    {
      what: `pages of ${pageEntries}, the last 200: p50, p99`,
      measured: shown(lastPagesMs, 0.5, 0.99),
      goal: 'p50 at most twice that of the first',
      reached: late < 2 * early,
    },
  ];
}

function shown(times: readonly number[], ...shares: readonly number[]): string {
  return `${shares.map(share => percentile(times, share).toFixed(2)).join(', ')} ms`;
}
