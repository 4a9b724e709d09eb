/** What a relay and its operator cost: memory and CPU at rest and at a steady 200 messages a second, each signed twice. The figures of docs/how-to/sizing.md. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { waitUntil } from '../../support/wait-until.ts';
import { type Cluster, releaseNamespace } from '../cluster.ts';
import { journey } from '../journey.ts';
import { applyQuickstart, publishRecords, relayMetric, sumOf } from '../outbound.ts';
import { assertRate, meantRate } from '../outcome.ts';
import { startInternet } from '../outside/internet.ts';

const idleSeconds = 10;
const loadedSeconds = 20;
const sessions = 20;
const bodyBytes = 4096;
/** What relay and clients need at that rate. */
const neededCores = 0.9;
const quietLimitMs = 60_000;

journey('a relay at 200 messages a second stays within what its pod asks for', async (cluster, t) => {
  await using internet = await startInternet();
  await internet.serve('example.com', ['mail A 203.0.113.10']);
  await internet.serve('example.net', ['@ MX 10 mx1', 'mx1 A 198.51.100.25']);
  await using sink = await startSink('198.51.100.25');
  await cluster.installChart({ 'operator.replicas': '1' });
  await applyQuickstart(cluster, { route: { type: 'Direct' } });
  await publishRecords(cluster, internet, ['mail A 203.0.113.10']);

  const idle = await measured(cluster, async () => await delay(idleSeconds * 1000));
  t.diagnostic(`${neededCores} of a core that nobody used: ${await whenQuiet()}`);
  const loaded = await measured(cluster, async () => await sendSteadily(cluster, loadedSeconds * meantRate));
  const total = loadedSeconds * meantRate;
  await waitUntil('every message at its host', () => sink.taken() >= total, { limitMs: 60_000, everyMs: 100 });
  assert.equal(sink.taken(), total, 'none twice, none lost');
  assert.equal(await relayMetric(cluster, 'postroad_sign_signatures_total'), 2 * total);
  const perSecond = total / loaded.seconds;
  for (const [name, { seconds, relay, operator }] of Object.entries({ idle, loaded })) {
    t.diagnostic(`${name}, ${seconds.toFixed(0)} s: relay ${told(relay)}, operator ${told(operator)}`);
  }
  t.diagnostic(
    `${total} messages of ${bodyBytes} bytes at ${perSecond.toFixed(0)} a second over ${sessions} sessions with TLS, each signed twice`,
  );
  if (cluster.run !== undefined) t.diagnostic(`image: ${await imageSize(cluster)}`);
  assertRate(t, { perSecond, rate: meantRate });
  // What a pod has unless its MailRelay says otherwise: docs/reference/resources.md, spec.template.resources.
  assert.ok(idle.relay.memoryBytes < 256 * 2 ** 20 && loaded.relay.memoryBytes < 512 * 2 ** 20);
});

/** What starts in other clusters, or is worked off there, is over within that time. Where it is not, the rate says so. */
async function whenQuiet(): Promise<string> {
  const startedMs = performance.now();
  const waitedMs = (): number => performance.now() - startedMs;
  while (waitedMs() < quietLimitMs) {
    if ((await idleCores()) >= neededCores) return `after ${(waitedMs() / 1000).toFixed(0)} s`;
  }
  return `not within ${quietLimitMs / 1000} s`;
}

/** Over two seconds, of the whole machine. */
async function idleCores(): Promise<number> {
  const idleMs = (): number => cpus().reduce((sum, { times }) => sum + times.idle, 0);
  const [before, startedMs] = [idleMs(), performance.now()];
  await delay(2000);
  return (idleMs() - before) / (performance.now() - startedMs);
}

interface Cost {
  readonly memoryBytes: number;
  /** Of one core. */
  readonly cpu: number;
}

interface Measured {
  readonly seconds: number;
  readonly relay: Cost;
  readonly operator: Cost;
}

async function measured(cluster: Cluster, work: () => Promise<void>): Promise<Measured> {
  const operator = (await cluster.kubectl.must(['get', 'pods', '-n', releaseNamespace, '-o', 'name'])).trim();
  const look = async (): Promise<readonly [string, string]> => [
    await exposition(cluster, 'mail', 'outbound-relay-0'),
    await exposition(cluster, releaseNamespace, operator.replace('pod/', '')),
  ];
  const startedMs = performance.now();
  const before = await look();
  await work();
  const after = await look();
  const seconds = (performance.now() - startedMs) / 1000;
  const cost = (index: 0 | 1): Cost => ({
    memoryBytes: sumOf(after[index], 'process_resident_memory_bytes'),
    cpu:
      (sumOf(after[index], 'process_cpu_seconds_total') - sumOf(before[index], 'process_cpu_seconds_total')) / seconds,
  });
  return { seconds, relay: cost(0), operator: cost(1) };
}

async function exposition({ kubectl }: Cluster, namespace: string, pod: string): Promise<string> {
  return await kubectl.must(['get', '--raw', `/api/v1/namespaces/${namespace}/pods/${pod}:8080/proxy/metrics`]);
}

const told = ({ memoryBytes, cpu }: Cost): string =>
  `${(memoryBytes / 2 ** 20).toFixed(0)} MiB and ${(cpu * 1000).toFixed(0)}m CPU`;

async function sendSteadily(cluster: Cluster, messages: number): Promise<void> {
  const ca = await cluster.kubectl.must([
    'get',
    'configmap',
    'outbound-ca',
    '-n',
    'mail',
    '-o',
    String.raw`jsonpath={.data.ca\.crt}`,
  ]);
  const transport = createTransport({
    ...{ pool: true, maxConnections: sessions, maxMessages: messages },
    ...{ host: 'outbound.mail.svc', port: 587, requireTLS: true, tls: { ca } },
    auth: { user: 'demo', pass: 'postroad-demo' },
  });
  try {
    const letter = {
      from: 'me@example.com',
      to: 'you@example.net',
      subject: 'cost',
      text: `${'postroad '.repeat(8)}\n`.repeat(bodyBytes / 73),
    };
    const startedMs = performance.now();
    const sent: Promise<unknown>[] = [];
    for (let number = 0; number < messages; number++) {
      // What could not be sent in time is sent after it, so that the rate holds on the whole.
      const waitMs = startedMs + (number / meantRate) * 1000 - performance.now();
      if (waitMs > 0) await delay(waitMs);
      sent.push(transport.sendMail(letter));
    }
    await Promise.all(sent);
  } finally {
    transport.close();
  }
}

interface Sink extends AsyncDisposable {
  taken(): number;
}

async function startSink(address: string): Promise<Sink> {
  let taken = 0;
  const errors: Error[] = [];
  const server = new SMTPServer({
    ...{ disabledCommands: ['AUTH', 'STARTTLS'], disableReverseLookup: true, logger: false },
    onData(stream, _session, callback) {
      stream.resume();
      stream.once('end', () => {
        taken += 1;
        callback();
      });
    },
  });
  server.on('error', error => errors.push(error));
  const listening = server.listen(25, address);
  await once(listening, 'listening');
  return {
    taken() {
      if (errors.length > 0) throw new AggregateError(errors, 'the host of the recipients');
      return taken;
    },
    async [Symbol.asyncDispose]() {
      await new Promise<void>(resolve => void server.close(() => resolve()));
    },
  };
}

interface Nodes {
  readonly items: readonly {
    readonly status: { readonly images: readonly { readonly names?: readonly string[]; readonly sizeBytes: number }[] };
  }[];
}

/** As the node says it. */
async function imageSize({ get, image }: Cluster): Promise<string> {
  const { items } = await get<Nodes>('nodes');
  const found = items
    .flatMap(({ status }) => status.images)
    .find(({ names }) => names?.some(name => name.endsWith(image)));
  return found === undefined ? 'not told by the node' : `${(found.sizeBytes / 2 ** 20).toFixed(0)} MiB`;
}
