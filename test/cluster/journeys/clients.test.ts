/** Programs in six languages, each with its ordinary mailer, send by the Service's name over every port; a stranger's host gets signed mail. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { verifyWithDkimpy, verifyWithMailauth } from '../../support/dkim-verifiers.ts';
import type { RunResult } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cluster } from '../cluster.ts';
import { loadPeer } from '../image/load-peer.ts';
import { journey } from '../journey.ts';
import { podRange } from '../node/layout.ts';
import { publishRecords } from '../outbound.ts';
import { startInternet } from '../outside/internet.ts';

interface Client {
  readonly command: readonly string[];
  /** What its mailer says of an authority that it does not know. */
  readonly distrusts: RegExp;
}

const jars = ['/clients', '/usr/share/java/javax.mail.jar', '/usr/share/java/javax.activation.jar'].join(':');
const clients: Readonly<Record<string, Client>> = {
  python: { command: ['python3', '/clients/client.py'], distrusts: /CERTIFICATE_VERIFY_FAILED/ },
  node: { command: ['node', '/clients/client.mjs'], distrusts: /self-signed certificate|unable to verify/ },
  go: { command: ['/clients/go-client'], distrusts: /x509: certificate signed by unknown authority/ },
  java: { command: ['java', '-cp', jars, 'Client'], distrusts: /unable to find valid certification path/ },
  php: { command: ['sh', '/clients/php.sh'], distrusts: /TLS certificate verification failed/ },
  swaks: { command: ['sh', '/clients/swaks.sh'], distrusts: /certificate verify failed/ },
};

const user = { name: 'reports', password: 'Gulls-over-9-harbours' };
/** Most of it on a busy machine: to load an image with a Java runtime in it. */
const limitMs = 9 * 60_000;
const caFile = '/etc/postroad/ca.crt';

interface Way {
  readonly host: string;
  readonly port: number;
  readonly mode: 'plain' | 'starttls' | 'tls';
}

/** The names by which a Service is known: short, and in full. */
const submission: Way = { host: 'outbound.mail.svc', port: 587, mode: 'starttls' };
const submissions: Way = { host: 'outbound.mail.svc.cluster.local', port: 465, mode: 'tls' };
const ways: readonly Way[] = [{ host: 'outbound.mail', port: 25, mode: 'plain' }, submission, submissions];

journey(
  'programs in six languages send over 25, 587 and 465, trusting the published authority, and their mail arrives signed',
  async (cluster, t) => {
    await using internet = await startInternet();
    await internet.serve('example.com', ['mail A 203.0.113.10']);
    await internet.serve('example.net', ['@ MX 10 mx1', 'mx1 A 198.51.100.25']);
    const host = await internet.mailHost('198.51.100.25');
    const loadedMs = performance.now();
    const image = await loadPeer(cluster, 'clients');
    t.diagnostic(`the image of the clients was loaded in ${secondsSince(loadedMs)} s`);
    await cluster.installChart();
    await cluster.createNamespace('mail');
    await cluster.kubectl.must(['apply', '-f', '-'], JSON.stringify(list(relayObjects)));
    await cluster.kubectl.must(['apply', '-f', '-'], JSON.stringify(list(Object.keys(clients).map(podOf(image)))));
    await waitFor(cluster, 'mailrelay', 'outbound');
    const records = await publishRecords(cluster, internet, ['mail A 203.0.113.10']);
    await waitFor(cluster, 'pod', ...Object.keys(clients));

    const startedMs = performance.now();
    await Promise.all(Object.entries(clients).map(([name, client]) => sendAllWays(cluster, name, client)));
    const subjects = Object.keys(clients).flatMap(name => ways.map(({ port }) => subjectOf(name, port)));
    await waitUntil(
      `${subjects.length} messages at their host`,
      async () => (await host.delivered()).length >= subjects.length,
      { limitMs: 60_000, everyMs: 200 },
    );
    const seconds = secondsSince(startedMs);
    await Promise.all(Object.entries(clients).map(([name, client]) => beRefused(cluster, name, client)));

    const messages = await Promise.all((await host.delivered()).map(asItCame));
    assert.deepEqual(messages.map(subjectIn).sort(), subjects.sort());
    const byDkimpy = await verifyWithDkimpy(messages, records);
    for (const [index, message] of messages.entries()) {
      const verdicts = [byDkimpy[index] ?? {}, await verifyWithMailauth(message, records)];
      for (const verdict of verdicts) assert.deepEqual(Object.values(verdict), [true, true], subjectIn(message));
    }
    t.diagnostic(
      `${subjects.length} messages of 6 clients over 3 ports sent, ${messages.length} delivered and DKIM-verified, 0 lost, ${seconds} s`,
    );
  },
  limitMs,
);

async function sendAllWays(cluster: Cluster, name: string, client: Client): Promise<void> {
  for (const way of ways) {
    const { code, stdout, stderr } = await send(cluster, name, client, { ...way, subject: subjectOf(name, way.port) });
    assert.equal(code, 0, `${name} over ${way.port}: ${stdout}\n${stderr}`);
  }
}

/** The controls: what was accepted above was asked for. */
async function beRefused(cluster: Cluster, name: string, client: Client): Promise<void> {
  // After STARTTLS, where a mailer might also go on without.
  const stranger = await send(cluster, name, client, { ...submission, ca: '' });
  assert.notEqual(stranger.code, 0, `${name} trusts everybody`);
  assert.match(stranger.stdout + stranger.stderr, client.distrusts, name);
  const wrong = await send(cluster, name, client, { ...submissions, password: 'not-the-password' });
  assert.notEqual(wrong.code, 0, `${name} with a wrong password`);
  assert.match(wrong.stdout + wrong.stderr, /\b535\b/, name);
}

interface Attempt extends Way {
  readonly subject?: string;
  readonly ca?: string;
  readonly password?: string;
}

async function send({ kubectl }: Cluster, name: string, { command }: Client, attempt: Attempt): Promise<RunResult> {
  const { host, port, mode, subject = 'refused', ca = caFile, password } = attempt;
  const values = {
    SMTP_HOST: host,
    SMTP_PORT: String(port),
    SMTP_MODE: mode,
    SMTP_USER: mode === 'plain' ? '' : user.name,
    ...(password !== undefined && { SMTP_PASSWORD: password }),
    SMTP_CA: ca,
    MAIL_FROM: `${name}@example.com`,
    MAIL_TO: 'you@example.net',
    MAIL_SUBJECT: subject,
  };
  const env = Object.entries(values).map(([key, value]) => `${key}=${value}`);
  return await kubectl.run(['exec', '-n', 'mail', name, '--', 'env', ...env, ...command]);
}

const secondsSince = (startedMs: number): string => ((performance.now() - startedMs) / 1000).toFixed(0);
const subjectOf = (name: string, port: number): string => `${name} over ${port}`;

async function waitFor({ shell }: Cluster, kind: string, ...names: readonly string[]): Promise<void> {
  await shell(
    `kubectl -n mail wait --for=condition=Ready --timeout=150s ${names.map(name => `${kind}/${name}`).join(' ')}`,
  );
}

/** Postfix keeps messages with the line ends of this system. */
async function asItCame(file: string): Promise<Buffer> {
  return Buffer.from((await readFile(file, 'latin1')).replaceAll(/\r?\n/g, '\r\n'), 'latin1');
}

const subjectIn = (message: Buffer): string => /^Subject: (.*?)\r$/m.exec(message.toString('latin1'))?.[1] ?? '';

const list = (items: readonly object[]): object => ({ apiVersion: 'v1', kind: 'List', items });
const inMail = (name: string): object => ({ name, namespace: 'mail' });
const api = 'postroad.dev/v1alpha1';

const relayObjects = [
  { apiVersion: 'v1', kind: 'Secret', metadata: inMail('smtp-users'), stringData: { [user.name]: user.password } },
  {
    apiVersion: api,
    kind: 'MailRelay',
    metadata: inMail('outbound'),
    spec: {
      hostname: 'mail.example.com',
      listeners: [
        { name: 'smtp', port: 25, protocol: 'SMTP', tls: 'Optional', authentication: 'Optional' },
        { name: 'submission', port: 587, protocol: 'SMTP', tls: 'Required', authentication: 'Required' },
        { name: 'submissions', port: 465, protocol: 'SMTPS', authentication: 'Required' },
      ],
      clients: { usersSecretRef: { name: 'smtp-users' }, trustedNetworks: [podRange] },
    },
  },
  {
    apiVersion: api,
    kind: 'DomainPolicy',
    metadata: inMail('example'),
    spec: {
      relayRef: { name: 'outbound' },
      domains: ['example.com'],
      dkim: { type: 'Managed', managed: { algorithms: ['RSA2048', 'Ed25519'] } },
    },
  },
];

/** As an application would have it: the authority is mounted from the ConfigMap, the password comes from a Secret. */
function podOf(image: string): (name: string) => object {
  return name => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: inMail(name),
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'client',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['sleep', 'infinity'],
          env: [{ name: 'SMTP_PASSWORD', valueFrom: { secretKeyRef: { name: 'smtp-users', key: user.name } } }],
          volumeMounts: [{ name: 'authority', mountPath: '/etc/postroad', readOnly: true }],
        },
      ],
      volumes: [{ name: 'authority', configMap: { name: 'outbound-ca' } }],
    },
  });
}
