/**
 * Mail waits because the next hop takes a second for each message and a pod has one connection to it: Kubernetes' own autoscaler hears of the age by
 * prometheus-adapter and Prometheus, and more pods come. Nobody serves metrics.k8s.io here, so that the CPU has no say in it.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { type ScriptedMx, startScriptedMx } from '../../support/scripted-mx.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cluster } from '../cluster.ts';
import { nodeJourney, type PoweredCluster } from '../journey.ts';
import { loadedObjects, namespace, sinkAddress } from '../loaded-objects.ts';
import { isReady, podsOf, serviceAddress } from '../loaded-relay.ts';
import { startPrometheusAdapter } from '../monitoring/prometheus-adapter.ts';
import { defineKinds, startScraping } from '../monitoring/stack.ts';
import { type SharedRedis, startSharedRedis } from '../shared-redis.ts';

const age = 'postroad_queue_oldest_due_age_seconds';
const targetQueueAgeSeconds = 5;
/** Some 550 stand in one pod's line of a next hop: the rest is for whoever comes. */
const messages = 700;
const slowMs = 1000;
const limits = { limitMs: 90_000, everyMs: 500 };

nodeJourney('a relay on Redis whose mail waits longer than it should is given more pods', async (cluster, t) => {
  const startedMs = performance.now();
  const say = (what: string): void =>
    t.diagnostic(`after ${((performance.now() - startedMs) / 1000).toFixed(0)} s: ${what}`);
  const fast = new AbortController();
  await using mx = await startSlowMx(fast.signal);
  const redis = await startRelay(cluster);
  say('the relay runs');
  await using scraping = await startScraping(cluster);
  await waitUntil('Prometheus to see the pod', async () => (await scraping.prometheus.query(age)).length === 1, limits);
  await using _adapter = await startPrometheusAdapter(cluster, scraping.address);
  const atRest = await waitUntil('the age to be served', () => agesServed(cluster), limits);
  assert.deepEqual(atRest, [0], 'one pod, and nothing waits');
  say('its age is served');

  const recipients = await send(await serviceAddress(cluster));
  say(`${recipients.length} messages are taken`);
  await waitUntil('more pods to be ready', async () => (await podsOf(cluster)).filter(isReady).length > 1, limits);
  const expected = `New size: 2; reason: pods metric ${age} above target`;
  await waitUntil(
    `the autoscaler to say: ${expected}`,
    async () => (await rescales(cluster)).includes(expected),
    limits,
  );
  say(expected);
  await waitUntil('both pods to deliver', () => mx.open > 1, limits);
  say('both deliver');

  fast.abort();
  const delivered = (): Set<string> =>
    new Set(mx.messages.filter(({ accepted }) => accepted).flatMap(({ rcpts }) => rcpts));
  await waitUntil('all of it to be delivered', () => delivered().size >= recipients.length, limits);
  assert.deepEqual([...delivered()].toSorted(), recipients.map(each => `RCPT TO:<${each}>`).toSorted());
  await waitUntil(
    'the pods to say that nothing is queued',
    async () => (await scraping.prometheus.query('max(sum by (pod) (postroad_queue_recipients))'))[0]?.value === '0',
    limits,
  );
  await redis.assertNoMailStays();
  say('all of it was delivered');
});

/** Takes each message a second after it has it, and at once from then on that `fast` is aborted. */
async function startSlowMx(fast: AbortSignal): Promise<ScriptedMx> {
  return await startScriptedMx({
    ...{ address: sinkAddress, port: 25 },
    async script({ event }) {
      // Cut short, it rejects: the message is taken at once.
      if (event === 'MESSAGE' || event === 'BDAT')
        await delay(slowMs, undefined, { signal: fast }).catch(() => undefined);
      return undefined;
    },
  });
}

/** One pod, and up to three. */
async function startRelay(cluster: PoweredCluster): Promise<SharedRedis> {
  await defineKinds(cluster);
  const [redis] = await Promise.all([startSharedRedis(cluster), cluster.installChart({ 'operator.replicas': '1' })]);
  await cluster.createNamespace(namespace);
  const autoscaling = { minReplicas: 1, maxReplicas: 3, targetQueueAgeSeconds };
  const spec = { queue: redis.queue, autoscaling, delivery: { maxConnections: 1 } };
  const relay = loadedObjects({ replicas: 1, spec, objects: [redis.secretIn(namespace)] });
  await cluster.kubectl.must(['apply', '-f', '-'], JSON.stringify(relay));
  const ready = ['--for=condition=Programmed', '--timeout=90s', '-n', namespace];
  await cluster.kubectl.must(['wait', 'mailrelay/outbound', 'domainpolicy/example', ...ready]);
  return redis;
}

/** Of each pod, as the autoscaler asks for it; undefined: of none just now. */
async function agesServed({ kubectl }: Cluster): Promise<readonly number[] | undefined> {
  const path = `/apis/custom.metrics.k8s.io/v1beta1/namespaces/${namespace}/pods/*/${age}`;
  const { code, stdout } = await kubectl.run(['get', '--raw', path]);
  if (code !== 0) return undefined;
  const { items } = JSON.parse(stdout) as { readonly items: readonly { readonly value: string }[] };
  // In thousandths where it is not whole.
  return items.map(({ value }) => (value.endsWith('m') ? Number(value.slice(0, -1)) / 1000 : Number(value)));
}

/** The addresses. */
async function send(host: string): Promise<readonly string[]> {
  const transport = createTransport({ host, port: 25, ignoreTLS: true, pool: true, maxConnections: 10 });
  const recipients = Array.from({ length: messages }, (_, number) => `u${number}@dest.example`);
  try {
    const mail = { from: 'a@example.com', subject: 'hello', text: 'hello' };
    await Promise.all(recipients.map(to => transport.sendMail({ ...mail, to })));
  } finally {
    transport.close();
  }
  return recipients;
}

/** What the autoscaler says that it did. */
async function rescales({ get }: Cluster): Promise<readonly string[]> {
  const { items } = await get<{ readonly items: readonly { readonly message: string }[] }>(
    'events',
    ...['-n', namespace, '--field-selector', 'reason=SuccessfulRescale'],
  );
  return items.map(({ message }) => message);
}
