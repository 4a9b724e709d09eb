/** One large message through a relay of its own: what its memory has to do with the message's size. */
import { startCountingSink } from '../../support/counting-sink.ts';
import { RawClient } from '../../support/raw-client.ts';
import { drained, metric, relayConfig, startRelayProcess } from '../../support/relay-process.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type CaseContext, type Finding, inMib } from './finding.ts';

const mib = 2 ** 20;
const line = `${'growth '.repeat(10)}\r\n`;
/** What a message of 100 MiB may take beyond one of 1 MiB: bounded queues of chunks, not the message. */
const mostGrowthBytes = 64 * mib;

export async function growMessage(sizesMib: readonly number[], context: CaseContext): Promise<Finding[]> {
  const peaks: number[] = [];
  const findings: Finding[] = [];
  for (const size of sizesMib) {
    const { peakBytes, seconds } = await one(size, context);
    peaks.push(peakBytes);
    findings.push({
      what: `one message of ${size} MiB: peak RSS, time`,
      measured: `${inMib(peakBytes)}, ${seconds.toFixed(1)} s`,
    });
  }
  const growth = (peaks.at(-1) ?? 0) - (peaks[0] ?? 0);
  return [
    ...findings,
    {
      what: `${sizesMib.at(-1)} MiB against ${sizesMib[0]} MiB`,
      measured: `${growth < 0 ? '-' : '+'}${inMib(Math.abs(growth))}`,
      goal: `< +${inMib(mostGrowthBytes)}`,
      reached: growth < mostGrowthBytes,
    },
  ];
}

async function one(
  sizeMib: number,
  { entry, nodeFlags }: CaseContext,
): Promise<{ peakBytes: number; seconds: number }> {
  await using sink = await startCountingSink();
  const config = relayConfig({
    route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: sink.port, tls: 'Disabled' } },
    limits: { maxMessageSizeBytes: (sizeMib + 1) * mib },
  });
  await using relay = await startRelayProcess(config, { entry, nodeFlags });
  const head = 'From: me@example.com\r\nSubject: size\r\n\r\n';
  const content = Buffer.from(head + line.repeat(Math.ceil((sizeMib * mib) / line.length)));
  const begun = performance.now();
  const client = await RawClient.open(relay.port());
  const sent = await client.send({ reversePath: 'me@example.com', recipients: ['r@next.example'], content });
  if (sent.outcome !== 'accepted') throw new Error(JSON.stringify(sent));
  await client.quit();
  await waitUntil('it to arrive', async () => (await sink.received()) === 1, { limitMs: 120_000, everyMs: 50 });
  const seconds = (performance.now() - begun) / 1000;
  const delivered = metric(await drained(relay), 'postroad_queue_delivered_recipients_total');
  if (delivered !== 1) throw new Error(`${delivered} delivered`);
  return { peakBytes: await relay.peakMemoryBytes(), seconds };
}
