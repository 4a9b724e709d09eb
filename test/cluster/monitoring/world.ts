/** The relays whose alerts are made to fire, the Internet around them, and the hands that a cluster's owner has. */
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { waitUntil } from '../../support/wait-until.ts';
import type { PoweredCluster } from '../journey.ts';
import { podRange, runPaths } from '../node/layout.ts';
import type { Internet } from '../outside/internet.ts';
import type { SharedRedis } from '../shared-redis.ts';
import type { Prometheus } from './api.ts';

export const namespace = 'mail';
export const wellAddress = '198.51.100.25';

export interface World {
  readonly cluster: PoweredCluster;
  readonly internet: Internet;
  readonly redis: SharedRedis;
  /** What sees it all. */
  readonly hurried: Prometheus;
}

export interface RelayWishes {
  readonly name: string;
  readonly domain: string;
  readonly replicas: number;
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** A relay and who may send through it: every pod and this machine, without a password. */
export function relayObjects({ name, domain, replicas, spec }: RelayWishes): readonly object[] {
  const own = { apiVersion: 'postroad.dev/v1alpha1', metadata: { name, namespace } };
  return [
    {
      ...{ ...own, kind: 'MailRelay' },
      spec: {
        ...{ replicas, hostname: `${name}.example.com`, route: { type: 'Direct' } },
        listeners: [{ name: 'smtp', port: 25, tls: 'Optional', authentication: 'None' }],
        clients: { trustedNetworks: [podRange] },
        retry: { initialDelaySeconds: 1, maxDelaySeconds: 3 },
        queue: { type: 'Volume', volume: { size: '1Gi' } },
        ...spec,
      },
    },
    {
      ...{ ...own, kind: 'DomainPolicy' },
      spec: {
        ...{ relayRef: { name }, domains: [domain], senders: { namespaces: { from: 'Same' } } },
        dkim: { type: 'Managed', managed: { algorithms: ['RSA2048', 'Ed25519'] } },
      },
    },
  ];
}

export async function apply({ kubectl }: PoweredCluster, objects: readonly object[]): Promise<void> {
  await kubectl.must(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
}

/** Merges into an object of the relays' namespace. */
export async function patch({ cluster }: World, object: readonly string[], change: object): Promise<void> {
  await cluster.kubectl.must(['patch', ...object, '-n', namespace, '--type', 'merge', '-p', JSON.stringify(change)]);
}

/** True: the operator leaves all that belongs to the relay alone. */
export async function pause(world: World, relay: string, isPaused: boolean): Promise<void> {
  await patch(world, ['mailrelay', relay], { spec: { reconciliation: isPaused ? 'Paused' : 'Active' } });
}

/** Sends one message to each. Those that are refused for now are told apart from a test that is wrong by the caller's alerts. */
export async function send(relay: string, from: string, to: readonly string[]): Promise<number> {
  const transport = transportTo(`${relay}.${namespace}`, 10);
  try {
    const results = await Promise.allSettled(
      to.map(each => transport.sendMail({ from, to: each, subject: 'hello', text: 'hello' })),
    );
    return results.filter(({ status }) => status === 'fulfilled').length;
  } finally {
    transport.close();
  }
}

interface Senders {
  readonly host: string;
  readonly port?: number;
  readonly from: string;
  readonly clients: number;
  /** Between two messages of one of them. */
  readonly pauseMs: number;
}

/** Clients of a host that send one message after the other until it is disposed of, whatever becomes of them. */
export function keepSending({ host, port, from, clients, pauseMs }: Senders): AsyncDisposable {
  const ending = new AbortController();
  const { signal } = ending;
  const transport = transportTo(host, clients, port);
  async function sendOn(): Promise<void> {
    while (!signal.aborted) {
      await Promise.allSettled([transport.sendMail({ from, to: 'b@well.test', subject: 'hello', text: 'hello' })]);
      // It rejects when the sending ends, and so does the loop.
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
  const all = Promise.all(Array.from({ length: clients }, sendOn));
  return {
    async [Symbol.asyncDispose]() {
      ending.abort();
      await all;
      transport.close();
    },
  };
}

function transportTo(host: string, maxConnections: number, port = 25) {
  return createTransport({
    ...{ host, port, ignoreTLS: true, pool: true, maxConnections },
    ...{ connectionTimeout: 2000, greetingTimeout: 5000, socketTimeout: 20_000, dnsTimeout: 2000 },
  });
}

export async function scaleBy(world: World, relay: string, replicas: number): Promise<void> {
  const { kubectl } = world.cluster;
  const where = ['-n', namespace];
  const workload = `statefulset/${relay}-relay`;
  await kubectl.must(['scale', workload, ...where, `--replicas=${replicas}`]);
  if (replicas > 0) {
    await kubectl.must(['rollout', 'status', workload, ...where, '--timeout=120s']);
    return;
  }
  const selector = `app.kubernetes.io/instance=${relay},app.kubernetes.io/component=relay`;
  // Without the time that pods get to end what is under way: it is an accident.
  await kubectl.must(['delete', 'pods', ...where, '-l', selector, '--force', '--grace-period=0', '--timeout=60s']);
}

/** The folder of a pod's volume on the node. */
export async function volumeFolder({ cluster }: World, relay: string): Promise<string> {
  const { volumes } = runPaths(cluster.run ?? '');
  for await (const found of glob(`*_${namespace}_queue-${relay}-relay-0`, { cwd: volumes }))
    return join(volumes, found);
  throw new Error(`no volume of ${relay} in ${volumes}`);
}

export async function whenReady(relay: string): Promise<void> {
  await waitUntil(`${relay} to take mail`, async () => (await send(relay, `a@${relay}.test`, ['b@well.test'])) === 1, {
    limitMs: 120_000,
    everyMs: 500,
  });
}
