/** The chart goes, with objects and queued mail there, by the commands of the documentation: nothing hangs, what is left is said, and whoever comes after delivers it. */
import assert from 'node:assert/strict';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { startProcess } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Cluster, splitImage } from '../cluster.ts';
import { commandOf } from '../documented.ts';
import { journey } from '../journey.ts';
import { applyQuickstart, applyRelay, relayMetric, sendLetter, untilReady } from '../outbound.ts';
import { type Internet, startInternet } from '../outside/internet.ts';

const installPage = 'docs/how-to/install.md';
const removePage = 'docs/how-to/remove-a-relay.md';
const waiting = { limitMs: 90_000, everyMs: 200 };
const claimName = 'queue-outbound-relay-0';

const undeliverable = {
  route: { type: 'Direct' },
  retry: { initialDelaySeconds: 1, maxDelaySeconds: 2, messageLifetimeSeconds: 3600, delayWarningSeconds: 0 },
  shutdown: { gracePeriodSeconds: 1 },
};

journey(
  'uninstalled with definitions kept, relays run on and keep their mail; a new operator takes them up, and a deleted relay delivers before it goes',
  async (cluster, t) => {
    await using internet = await startInternet();
    await serveNobody(internet);
    const run = (command: string): Promise<string> => bounded(cluster, command, line => t.diagnostic(line));
    const chart = settingsOf(cluster);
    await run(`${await commandOf(installPage, 'helm install postroad')} ${chart} --wait`);
    await run(await commandOf(installPage, 'helm test postroad'));
    await applyQuickstart(cluster, undeliverable);
    await sendWaiting(cluster, ['first', 'second']);
    const pod = await uidOfPod(cluster);
    await run(`${await commandOf(installPage, 'helm upgrade postroad')} ${chart} --set operator.logLevel=debug --wait`);
    assert.equal(await uidOfPod(cluster), pod, 'nothing about its pods has changed');

    const said = await run(await commandOf(installPage, 'helm uninstall postroad'));
    assert.match(said, /mail\/outbound is released: it runs on without an operator/);
    assert.deepEqual(await finalizersOf(cluster), []);
    await sendWaiting(cluster, ['third'], 3);

    await cluster.installChart();
    await untilTakenUp(cluster);
    const remove = await commandOf(removePage, 'kubectl -n mail delete mailrelay outbound');
    await cluster.shell(remove);
    await untilDraining(cluster);
    await cluster.helm('uninstall', 'postroad', '--namespace', 'postroad-system', '--no-hooks', '--wait');
    await cluster.shell(await commandOf(removePage, 'kubectl -n mail patch mailrelay outbound'));
    await untilGone(cluster);
    const claims = await commandOf(removePage, 'kubectl -n mail get pvc');
    assert.match(await cluster.shell(claims), /^queue-outbound-relay-0 /m);

    await cluster.installChart();
    await applyRelay(cluster, undeliverable);
    await untilReady(cluster);
    assert.equal(await relayMetric(cluster, 'postroad_queue_recipients'), 3, 'it was taken up again');
    await cluster.shell(remove);
    await untilDraining(cluster);
    await cluster.shell(await commandOf(removePage, 'kubectl -n mail annotate mailrelay outbound'));
    await untilGone(cluster);
    assert.match(await cluster.shell(claims), /^queue-outbound-relay-0 /m);
    assert.match(await cluster.shell('kubectl -n mail get events'), /VolumesKept.*queue-outbound-relay-0/);

    await applyRelay(cluster, undeliverable);
    await untilReady(cluster);
    const watched = await watching(await commandOf(removePage, 'kubectl -n mail get mailrelay outbound -w'));
    await cluster.shell(remove);
    await untilDraining(cluster);
    assert.equal(await relayMetric(cluster, 'postroad_queue_recipients'), 3, 'nothing was given up');
    const host = await serveHost(internet);
    await untilGone(cluster);
    assert.match(await watched.end(), /^outbound +False /m);
    assert.equal((await host.delivered()).length, 3);
    assert.equal(await cluster.shell(claims), '', 'an empty volume goes with its relay');
    t.diagnostic('3 messages sent, 3 delivered, 0 twice, 0 lost, over two uninstallations and three deletions');
  },
);

journey(
  'uninstalled together with the definitions, what could not be delivered stays on its volume, and a relay of the same name delivers it',
  async (cluster, t) => {
    await using internet = await startInternet();
    await serveNobody(internet);
    const values = { 'crds.keep': 'false', 'uninstall.drainTimeoutSeconds': '5' };
    await cluster.installChart(values);
    await applyQuickstart(cluster, undeliverable);
    await sendWaiting(cluster, ['kept']);
    const uninstall = await commandOf(installPage, 'helm uninstall postroad');

    const said = await bounded(cluster, uninstall, line => t.diagnostic(line));
    assert.match(said, /1 MailRelays are deleted, and may drain for 5 s/);
    assert.match(said, /mail\/outbound is released: what it had not delivered is on its volumes/);
    // Helm asks for their deletion, and the API server first removes what is left of their kind.
    await waitUntil(
      'the definitions to be gone',
      async () => !(await cluster.kubectl.must(['get', 'crd', '-o', 'name'])).includes('postroad.dev'),
      waiting,
    );
    const claims = await cluster.get<Items>('pvc', '-n', 'mail');
    assert.deepEqual(
      claims.items.map(({ metadata }) => metadata.name),
      [claimName],
    );
    await waitUntil(
      'the pods to be gone',
      async () => (await cluster.get<Items>('pods', '-n', 'mail')).items.length === 0,
      waiting,
    );

    const host = await serveHost(internet);
    await cluster.installChart(values);
    await applyRelay(cluster, undeliverable);
    await waitUntil('the mail of before', async () => (await host.delivered()).length === 1, waiting);
    t.diagnostic('1 message sent, 1 delivered, 0 twice, 0 lost');
  },
);

interface Items {
  readonly items: readonly { readonly metadata: { readonly name: string } }[];
}

interface Pod {
  readonly metadata: { readonly uid: string };
}

/** The image of the documentation is made up. */
function settingsOf({ image }: Cluster): string {
  const [repository, tag] = splitImage(image);
  return `--set image.repository=${repository} --set image.tag=${tag}`;
}

async function uidOfPod({ get }: Cluster): Promise<string> {
  return (await get<Pod>('pod', 'outbound-relay-0', '-n', 'mail')).metadata.uid;
}

interface Watched {
  /** Ends it; what it printed. */
  end(): Promise<string>;
}

/** A command that a reader ends by Ctrl-C. */
async function watching(command: string): Promise<Watched> {
  const lines: string[] = [];
  const running = startProcess('bash', ['-c', `exec ${command}`], { onLine: line => lines.push(line) });
  await waitUntil(`${command} to print something`, () => lines.length > 0);
  return {
    async end() {
      await running.stop('SIGINT');
      return lines.join('\n');
    },
  };
}

/** The recipients' domain has a host that is down. */
async function serveNobody(internet: Internet): Promise<void> {
  await internet.serve('example.com', ['mail A 203.0.113.10']);
  await internet.serve('example.net', ['@ MX 10 mx1', 'mx1 A 198.51.100.25']);
}

async function serveHost(internet: Internet): ReturnType<Internet['mailHost']> {
  return await internet.mailHost('198.51.100.25');
}

/** Until all that was sent waits in the queue. */
async function sendWaiting(cluster: Cluster, subjects: readonly string[], depth = subjects.length): Promise<void> {
  for (const subject of subjects) await sendLetter(cluster, { to: 'you@example.net', subject });
  assert.equal(await relayMetric(cluster, 'postroad_queue_recipients'), depth);
}

/** What it says; it must not hang. */
async function bounded(cluster: Cluster, command: string, say: (line: string) => void): Promise<string> {
  const startedMs = performance.now();
  const said = await cluster.shell(`${command} 2>&1`, { timeoutMs: 120_000 });
  say(`${command}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  return said;
}

async function untilTakenUp(cluster: Cluster): Promise<void> {
  await waitUntil(
    'the new operator to take the relay up',
    async () => (await finalizersOf(cluster)).length > 0,
    waiting,
  );
}

async function finalizersOf(cluster: Cluster): Promise<readonly string[]> {
  const { metadata } = await cluster.get<MailRelay>('mailrelay', 'outbound', '-n', 'mail');
  return metadata.finalizers ?? [];
}

async function untilDraining(cluster: Cluster): Promise<void> {
  await waitUntil('the relay to drain', async () => (await reasonsOf(cluster)).includes('Draining'), waiting);
}

async function untilGone({ shell }: Cluster): Promise<void> {
  await shell('kubectl -n mail wait mailrelay/outbound --for=delete --timeout=90s');
  await shell('kubectl -n mail wait pod/outbound-relay-0 --for=delete --timeout=60s');
}

async function reasonsOf(cluster: Cluster): Promise<readonly string[]> {
  const { status } = await cluster.get<MailRelay>('mailrelay', 'outbound', '-n', 'mail');
  return (status?.conditions ?? []).map(({ reason }) => reason);
}
