/** The quickstart's relay as most journeys have it: one pod, made by the examples' own objects, and sent through as an application would. */
import { lookup } from 'node:dns/promises';
import { createTransport } from 'nodemailer';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { domainPolicies } from '../../operator/cluster/kinds.ts';
import { published } from '../apiserver/published-records.ts';
import type { KeyRecords } from '../support/dkim-verifiers.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Cluster } from './cluster.ts';
import type { Internet } from './outside/internet.ts';

export interface Letter {
  /** Left out: me@example.com. */
  readonly from?: string;
  readonly to: string;
  readonly subject: string;
}

/** `spec` goes over that of examples/quickstart/relay.yaml. Resolves when the relay is ready. */
export async function applyQuickstart(cluster: Cluster, spec: object): Promise<void> {
  await cluster.createNamespace('mail');
  await applyRelay(cluster, spec);
  await cluster.shell('kubectl apply -f examples/quickstart/users.yaml -f examples/quickstart/policy.yaml');
  await untilReady(cluster);
}

/** The relay alone. */
export async function applyRelay({ kubectl }: Cluster, spec: object): Promise<void> {
  const patch = JSON.stringify({ spec: { replicas: 1, ...spec } });
  const local = ['patch', '--local', '-f', 'examples/quickstart/relay.yaml', '--type', 'merge', '-p', patch];
  await kubectl.must(['apply', '-f', '-'], await kubectl.must([...local, '-o', 'json']));
}

export async function untilReady({ shell }: Cluster): Promise<void> {
  await shell('kubectl -n mail wait mailrelay/outbound --for=condition=Ready --timeout=3m');
}

/** As the example's user, over the submission port and by the Service's name, trusting the published authority. Resolves when the relay has taken it. */
export async function sendLetter(cluster: Cluster, { from = 'me@example.com', to, subject }: Letter): Promise<void> {
  interface Authority {
    readonly data: { readonly 'ca.crt': string };
  }
  const { data } = await cluster.get<Authority>('configmap', 'outbound-ca', '-n', 'mail');
  const name = 'outbound.mail.svc';
  // Nodemailer remembers for minutes what a name was, and a Service that is made anew has another address.
  const { address: host } = await lookup(name);
  const transport = createTransport({
    ...{ host, port: 587, requireTLS: true, tls: { ca: data['ca.crt'], servername: name } },
    auth: { user: 'demo', pass: 'postroad-demo' },
    ...{ connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 30_000 },
  });
  try {
    await waitUntil(
      'the Service to take a connection',
      async () => {
        try {
          return await transport.sendMail({ from, to, subject, text: `This is ${subject}.\n` });
        } catch (error) {
          // A pod is ready some moments before the node sends connections there.
          if (error instanceof Error && 'command' in error && error.command === 'CONN') return undefined;
          throw error;
        }
      },
      { limitMs: 30_000, everyMs: 200 },
    );
  } finally {
    transport.close();
  }
}

/** The sum of a relay pod's metric over the series whose labels hold these. */
export async function relayMetric(
  { kubectl }: Cluster,
  name: string,
  labels: Readonly<Record<string, string>> = {},
  pod = 'outbound-relay-0',
): Promise<number> {
  const text = await kubectl.must(['get', '--raw', `/api/v1/namespaces/mail/pods/${pod}:8080/proxy/metrics`]);
  return sumOf(text, name, labels);
}

export function sumOf(exposition: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return exposition
    .split('\n')
    .filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter(line => wanted.every(label => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Puts what the policy asks for into its zone, beside `lines`; resolves when mail is signed, with the keys by their names. */
export async function publishRecords(
  cluster: Cluster,
  internet: Internet,
  lines: readonly string[],
): Promise<KeyRecords> {
  const records = await waitUntil(
    'the records to publish',
    async () => {
      const { status } = await cluster.read<DomainPolicy>(domainPolicies, { namespace: 'mail', name: 'example' });
      const listed = status?.dnsRecords ?? [];
      return listed.some(({ purpose }) => purpose === 'DKIM') && listed;
    },
    { limitMs: 60_000, everyMs: 200 },
  );
  await internet.serve('example.com', [...lines, ...published(records)]);
  // Ready is said from the first key on that signs.
  await waitUntil(
    'every key to sign',
    async () => {
      const { status } = await cluster.read<DomainPolicy>(domainPolicies, { namespace: 'mail', name: 'example' });
      const signing = status?.dkim?.keys.filter(({ signsFor }) => signsFor?.includes('example.com')) ?? [];
      const isReady = status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True');
      return isReady === true && signing.length === 2;
    },
    { limitMs: 120_000, everyMs: 200 },
  );
  const keys = records.filter(({ purpose }) => purpose === 'DKIM');
  return Object.fromEntries(
    await Promise.all(keys.map(async ({ name }) => [name, (await internet.texts(name)).join('')])),
  );
}
