/** Sessions that said EHLO and then nothing: what each holds, and what they do to those who do speak. */
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../support/free-port.ts';
import { RawClient } from '../../support/raw-client.ts';
import { metric, type RelayProcess, relayConfig, startRelayProcess } from '../../support/relay-process.ts';
import { cpuSecondsOf, memoryOf } from '../relay/usage.ts';
import { below, type CaseContext, type Finding, inMib, percentile } from './finding.ts';

/** That open at the same time. */
const openers = 100;
const silenceMs = 600_000;
const restSeconds = 10;
const newcomers = 50;

export async function growSessions(count: number, { entry, nodeFlags, say }: CaseContext): Promise<Finding[]> {
  const smartHost = { host: '127.0.0.1', port: await freePort(), tls: 'Disabled' as const };
  const config = relayConfig({
    route: { type: 'SmartHost', smartHost },
    limits: { maxSessions: count + newcomers, maxSessionsPerClient: count + newcomers },
  });
  await using relay = await startRelayProcess(config, { entry, nodeFlags });
  // Compiled, and with its buffers.
  const alone = await serve(relay);
  const before = await memoryOf([relay.pid]);
  const clients: RawClient[] = [];
  try {
    const begun = performance.now();
    await open(relay.port(), count, clients);
    say(`${count} sessions opened in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    const rest = await resting(relay);
    const { rssBytes } = await memoryOf([relay.pid]);
    const among = await serve(relay);
    if (clients.some(client => !client.isOpen)) throw new Error('a session was closed');
    return [
      {
        what: `${count} idle sessions: RSS, a session`,
        measured: `${inMib(rssBytes)} (${inMib(before.rssBytes)} without), ${((rssBytes - before.rssBytes) / count / 1024).toFixed(1)} KiB`,
      },
      { what: 'CPU at rest', measured: `${((rest.cpuSeconds / restSeconds) * 100).toFixed(1)} % of a core` },
      below('event-loop lag at rest, p99', rest.lagMs, 50, 'ms'),
      {
        what: 'connect, EHLO and a message of a new client, p50 and highest of 50',
        measured: `${percentile(among, 0.5).toFixed(1)}, ${Math.max(...among).toFixed(1)} ms (${percentile(alone, 0.5).toFixed(1)}, ${Math.max(...alone).toFixed(1)} ms without the idle ones)`,
        goal: 'highest < 1000 ms',
        reached: Math.max(...among) < 1000,
      },
    ];
  } finally {
    for (const client of clients) client.close();
  }
}

async function open(port: number, count: number, clients: RawClient[]): Promise<void> {
  let begun = 0;
  const opener = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      clients.push(await RawClient.open(port, '127.0.0.1', silenceMs));
    }
  };
  await Promise.all(Array.from({ length: openers }, opener));
}

async function resting(relay: RelayProcess): Promise<{ readonly lagMs: number; readonly cpuSeconds: number }> {
  await relay.metrics();
  const before = await cpuSecondsOf([relay.pid]);
  await delay(restSeconds * 1000);
  const cpuSeconds = (await cpuSecondsOf([relay.pid])) - before;
  return { lagMs: metric(await relay.metrics(), 'postroad_process_event_loop_lag_seconds') * 1000, cpuSeconds };
}

/** Milliseconds of each newcomer, from connect to 250. */
async function serve(relay: RelayProcess): Promise<number[]> {
  const content = Buffer.from(`From: me@example.com\r\n\r\n${'idle '.repeat(100)}\r\n`);
  const times: number[] = [];
  for (let n = 0; n < newcomers; n += 1) {
    const begun = performance.now();
    const client = await RawClient.open(relay.port());
    const sent = await client.send({ reversePath: 'me@example.com', recipients: [`r${n}@next.example`], content });
    if (sent.outcome !== 'accepted') throw new Error(JSON.stringify(sent));
    times.push(performance.now() - begun);
    await client.quit();
  }
  return times;
}
