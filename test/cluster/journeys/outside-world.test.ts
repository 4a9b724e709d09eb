/** Hosts of strangers, each with a way of its own: what the sender is told, what the queue says, and what arrives. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { verifyWithDkimpy, verifyWithMailauth } from '../../support/dkim-verifiers.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { createTestCa } from '../../support/test-ca.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cluster } from '../cluster.ts';
import { commandOf, inBackground } from '../documented.ts';
import { journey } from '../journey.ts';
import { applyQuickstart, publishRecords, relayMetric, sendLetter } from '../outbound.ts';
import { startGreylist } from '../outside/greylist.ts';
import { type Internet, startInternet } from '../outside/internet.ts';
import { startOpenSmtpd } from '../outside/opensmtpd.ts';

/** example.com is who writes, and gets what comes back. */
const senders = ['@ MX 10 mx.plain.example.', 'mail A 203.0.113.10'];

/** Domains below `example`: no record at all is a domain that does not exist. */
const domains = [
  // RFC 5321 s5.1: without an MX record the domain is its own host.
  'plain A 198.51.100.25',
  'mx.plain A 198.51.100.25',
  // The better host is down, and the one after it has no name.
  ...['fallback MX 5 down.fallback', 'fallback MX 7 nowhere.fallback', 'fallback MX 10 mx.plain'],
  'down.fallback A 198.51.100.99',
  ...['refuser MX 10 mx.refuser', 'mx.refuser A 198.51.100.26'],
  ...['grey MX 10 mx.grey', 'mx.grey A 198.51.100.27'],
  ...['slow MX 10 mx.slow', 'mx.slow A 198.51.100.28'],
  ...['impostor MX 10 mx.impostor', 'mx.impostor A 198.51.100.29'],
  ...['puffy MX 10 mx.puffy', 'mx.puffy A 198.51.100.30'],
  // RFC 7505.
  'never MX 0 .',
];
/** The relay asks again after a second. */
const six = 'six 1 AAAA 2001:db8::25';
const slowSeconds = 4;
const page = 'docs/how-to/troubleshooting.md';

const route = {
  route: { type: 'Direct' },
  retry: { initialDelaySeconds: 2, maxDelaySeconds: 4, messageLifetimeSeconds: 3600, delayWarningSeconds: 0 },
  delivery: { connectTimeoutSeconds: 5 },
};
/** Its mail is signed by nobody: it is what TLS does that is looked at. */
const careful = {
  apiVersion: 'postroad.dev/v1alpha1',
  kind: 'DomainPolicy',
  metadata: { name: 'careful', namespace: 'mail' },
  spec: {
    relayRef: { name: 'outbound' },
    domains: ['careful.example.com'],
    dkim: { type: 'Disabled' },
    tls: { policy: 'Verified' },
  },
};

journey(
  'hosts that refuse, greylist, dawdle, want no mail or show a wrong certificate get what they should, and senders hear of it',
  async (cluster, t) => {
    await using world = await startWorld();
    const { internet } = world;
    await cluster.installChart();
    await applyQuickstart(cluster, route);
    await cluster.kubectl.must(['apply', '-f', '-'], JSON.stringify(careful));
    const keys = await publishRecords(cluster, internet, senders);
    await cluster.shell('kubectl -n mail wait domainpolicy/careful --for=condition=Programmed --timeout=2m');

    const sentAt = new Map<string, number>();
    const names = ['slow', 'plain', 'fallback', 'grey', 'impostor', 'puffy', 'refuser', 'never', 'nobody', 'six'];
    for (const name of names) {
      sentAt.set(name, Date.now());
      await sendLetter(cluster, { to: `you@${name}.example`, subject: name });
    }
    const verified = { from: 'me@careful.example.com', to: 'you@impostor.example', subject: 'verified' };
    await sendLetter(cluster, verified);

    const arriving = ['plain', 'fallback', 'grey', 'impostor', 'puffy', 'slow'];
    const settled = await waitUntil('all that can be settled', () => world.settled(arriving.length + 3), waiting);
    const letters = settled.filter(({ report }) => report === undefined);
    assert.deepEqual(letters.map(({ subject }) => subject).sort(), arriving.toSorted());
    assert.deepEqual(reportsOf(settled), expectedReports);
    await assertSigned(letters, keys);
    assertNotHeldUp(letters, sentAt);
    assert.ok(world.turnedAway() >= 1, 'the greylist turned it away first');

    const held = await waitUntil(
      'nothing to be in the queue but what must be verified, and what has no way there',
      async () => {
        const figures = await queueOf(cluster);
        return figures.depth === 2 && figures;
      },
      waiting,
    );
    assert.deepEqual(held.failed, { RemoteRejected: 1, NullMx: 1, NoSuchDomain: 1 });
    assert.ok(held.deferred.TlsFailed >= 1 && held.deferred.ConnectFailed >= 1 && held.deferred.RemoteDeferred >= 1);
    assert.equal(held.accepted, arriving.length + 3 + 3 + 2, 'letters, reports and what waits');
    await lookAsDocumented(cluster);

    await internet.serve('example', [...domains, 'six A 198.51.100.25']);
    const trusting = '{"spec":{"tls":{"policy":"Opportunistic"}}}';
    await cluster.kubectl.must([
      '-n',
      'mail',
      'patch',
      'domainpolicy',
      'careful',
      '--type',
      'merge',
      '--patch',
      trusting,
    ]);
    const all = await waitUntil('what was held to arrive', () => world.settled(settled.length + 2), waiting);
    const late = all.map(({ subject }) => subject).filter(subject => ['six', 'verified'].includes(subject));
    assert.deepEqual(late.sort(), ['six', 'verified'], 'each once');
    await waitUntil('the queue to say that it is empty', async () => (await queueOf(cluster)).depth === 0, waiting);
    const end = await queueOf(cluster);
    assert.equal(end.accepted, end.delivered + 3);
    t.diagnostic(
      `${names.length + 1} letters sent: ${arriving.length + 2} delivered, 3 returned with the reason, 0 twice, 0 lost; ${world.turnedAway()} turned away by the greylist first`,
    );
  },
);

const waiting = { limitMs: 90_000, everyMs: 200 };

/** What whoever looks for held mail is told to look at, and that it leads there. */
async function lookAsDocumented(cluster: Cluster): Promise<void> {
  // What waits is tried again and again: for a moment it does not wait.
  const look = async (command: string, seen: RegExp): Promise<void> => {
    await waitUntil(
      `${seen} in what this prints: ${command}`,
      async () => seen.test(await cluster.shell(command)),
      waiting,
    );
  };
  await look(
    await commandOf(page, 'kubectl get mrelay,dpol'),
    /mail +mailrelay\S*outbound .*mail +domainpolicy\S*careful /s,
  );
  await look(await commandOf(page, 'kubectl -n mail describe mailrelay'), /Type: +Ready/);
  await look(
    await commandOf(page, 'kubectl -n mail logs -l'),
    /\|Verified\|25\|0:mx\.impostor\.example","reason":"TlsFailed","detail":"unable to verify/,
  );
  await look(await commandOf(page, 'kubectl -n mail get endpointslices'), /^outbound-\S+ +IPv4 .*\b10\./m);
  await look(await commandOf(page, 'kubectl -n mail get configmap outbound-ca'), /BEGIN CERTIFICATE/);
  await look(await commandOf(page, 'kubectl -n mail get domainpolicy example'), /^DKIMReady=True /m);
  await look(await commandOf(page, 'kubectl -n postroad-system get pods,lease'), /lease\S*postroad/);
  await look(await commandOf(page, 'kubectl -n postroad-system logs'), /./);
  const forwarding = await inBackground(await commandOf(page, 'kubectl -n mail port-forward pod/outbound-relay-0'));
  try {
    const attempts = await commandOf(page, 'curl -s http://127.0.0.1:8081/metrics');
    await look(attempts, /^postroad_deliver_attempts_total\{outcome="Deferred",reason="TlsFailed"\} [1-9]/m);
    await look(attempts, /^postroad_queue_recipients\{state="Waiting"\} [12]$/m);
  } finally {
    await forwarding.stop('SIGTERM');
  }
}

interface Arrived {
  readonly subject: string;
  readonly wire: Buffer;
  readonly atMs: number;
  /** Of a DSN: what its status part says. */
  readonly report: Readonly<Record<string, string>> | undefined;
}

interface World extends AsyncDisposable {
  readonly internet: Internet;
  turnedAway(): number;
  /** Once so many have arrived anywhere. */
  settled(count: number): Promise<readonly Arrived[] | undefined>;
}

async function startWorld(): Promise<World> {
  const parts = new AsyncDisposableStack();
  const internet = parts.use(await startInternet());
  await internet.serve('example.com', senders);
  await internet.serve('example', [...domains, six]);
  const greylist = parts.use(await startGreylist(1000));
  const folder = parts.use(await temporaryFolder());
  const ca = await createTestCa(join(folder.path, 'ca'));
  const wrong = await ca.issue('mx.somebody-else.example');
  const hosts = [
    await internet.mailHost('198.51.100.25'),
    await internet.mailHost('198.51.100.26', {
      smtpd_recipient_restrictions: 'check_recipient_access static:{550 5.1.1 There is no such person here}',
    }),
    await internet.mailHost('198.51.100.27', { smtpd_recipient_restrictions: greylist.restriction }),
    await internet.mailHost('198.51.100.28', { smtpd_recipient_restrictions: `sleep ${slowSeconds}, permit` }),
    await internet.mailHost('198.51.100.29', {
      smtpd_tls_security_level: 'may',
      smtpd_tls_cert_file: wrong.certificateFile,
      smtpd_tls_key_file: wrong.privateKeyFile,
    }),
    parts.use(await startOpenSmtpd(await internet.folder('opensmtpd'), '198.51.100.30', 'puffy.example')),
  ];
  return {
    internet,
    turnedAway: () => greylist.turnedAway(),
    async settled(count) {
      const files = (await Promise.all(hosts.map(host => host.delivered()))).flat();
      return files.length >= count ? await Promise.all(files.map(arrived)) : undefined;
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

async function arrived(file: string): Promise<Arrived> {
  // As it came: mail hosts keep messages with the line ends of this system.
  const text = (await readFile(file, 'latin1')).replaceAll(/\r?\n/g, '\r\n');
  const unfolded = text.replaceAll(/\r\n[ \t]+/g, ' ');
  const field = (name: string): string => new RegExp(`^${name}: (.*)\r$`, 'm').exec(unfolded)?.[1] ?? '';
  const fields = ['Final-Recipient', 'Action', 'Status', 'Remote-MTA', 'Diagnostic-Code', 'X-Postroad-Reason'];
  const isReport = field('Content-Type').startsWith('multipart/report');
  return {
    subject: field('Subject'),
    wire: Buffer.from(text, 'latin1'),
    atMs: (await stat(file)).mtimeMs,
    report: isReport ? Object.fromEntries(fields.map(name => [name, field(name)])) : undefined,
  };
}

function reportsOf(all: readonly Arrived[]): unknown {
  return Object.fromEntries(
    all.flatMap(({ report }) => {
      if (report === undefined) return [];
      const { 'Final-Recipient': recipient = '', ...rest } = report;
      return [[recipient.replace('rfc822; you@', ''), Object.values(rest)]];
    }),
  );
}

/** Action, status, who said so, what they said, and our reason. */
const expectedReports = {
  'refuser.example': [
    'failed',
    '5.1.1',
    'dns; mx.refuser.example',
    'smtp; 550 5.1.1 <you@refuser.example>: Recipient address rejected: There is no such person here',
    'RemoteRejected',
  ],
  'never.example': ['failed', '5.1.10', '', 'x-postroad; 556 5.1.10 the domain accepts no mail', 'NullMx'],
  'nobody.example': ['failed', '5.1.2', '', 'x-postroad; 550 5.1.2 the domain does not exist', 'NoSuchDomain'],
};

async function assertSigned(letters: readonly Arrived[], keys: Readonly<Record<string, string>>): Promise<void> {
  const byDkimpy = await verifyWithDkimpy(
    letters.map(({ wire }) => wire),
    keys,
  );
  for (const [index, { subject, wire }] of letters.entries()) {
    assert.deepEqual(Object.values(await verifyWithMailauth(wire, keys)), [true, true], subject);
    assert.deepEqual(Object.values(byDkimpy[index] ?? {}), [true, true], subject);
  }
}

function assertNotHeldUp(letters: readonly Arrived[], sentAt: ReadonlyMap<string, number>): void {
  const took = (name: string): number =>
    (letters.find(({ subject }) => subject === name)?.atMs ?? 0) - (sentAt.get(name) ?? 0);
  assert.ok(took('slow') >= slowSeconds * 1000, `the slow host took its time: ${took('slow')} ms`);
  for (const name of ['plain', 'puffy']) assert.ok(took(name) < took('slow'), `${name} was held up: ${took(name)} ms`);
}

interface QueueFigures {
  readonly accepted: number;
  readonly delivered: number;
  readonly depth: number;
  readonly failed: Readonly<Record<'RemoteRejected' | 'NullMx' | 'NoSuchDomain', number>>;
  readonly deferred: Readonly<Record<'TlsFailed' | 'ConnectFailed' | 'RemoteDeferred', number>>;
}

async function queueOf(cluster: Cluster): Promise<QueueFigures> {
  const metric = (name: string, labels = {}): Promise<number> => relayMetric(cluster, `postroad_${name}`, labels);
  const attempts = (outcome: string, reason: string): Promise<number> =>
    metric('deliver_attempts_total', { outcome, reason });
  return {
    accepted: await metric('queue_accepted_recipients_total'),
    delivered: await metric('queue_delivered_recipients_total'),
    depth: await metric('queue_recipients'),
    failed: {
      RemoteRejected: await attempts('Failed', 'RemoteRejected'),
      NullMx: await attempts('Failed', 'NullMx'),
      NoSuchDomain: await attempts('Failed', 'NoSuchDomain'),
    },
    deferred: {
      TlsFailed: await attempts('Deferred', 'TlsFailed'),
      ConnectFailed: await attempts('Deferred', 'ConnectFailed'),
      RemoteDeferred: await attempts('Deferred', 'RemoteDeferred'),
    },
  };
}
