/** Pods that are no part of the product, which show what NetworkPolicies let through: they connect to others, and listen. */
import { readFile } from 'node:fs/promises';
import type { RunResult } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cluster } from '../cluster.ts';

export interface PodName {
  readonly namespace: string;
  readonly name: string;
  /** Left out: its first. */
  readonly container?: string;
}

/** Of a namespace that nobody named. */
export const stranger: PodName = { namespace: 'elsewhere', name: 'stranger' };
/** Of the one in `monitoring.namespaces`. */
export const watcher: PodName = { namespace: 'watching', name: 'watcher' };
/** Both listen there. */
export const openPort = 8080;
/** There as well, until a NetworkPolicy says otherwise. */
const controlPort = 9080;
const readyLimitMs = 90_000;
/** For a network to do what was said a moment ago, on a busy machine. */
const networkLimit = { limitMs: 30_000, everyMs: 200 };

export async function startOnlookers(cluster: Cluster): Promise<void> {
  const { kubectl, image } = cluster;
  for (const { namespace } of [stranger, watcher]) await cluster.createNamespace(namespace);
  const items = [stranger, watcher].map(onlooker => podOf(onlooker, image));
  await kubectl.must(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await Promise.all([stranger, watcher].map(({ namespace, name }) => untilReady(cluster, namespace, name)));
}

async function untilReady({ kubectl }: Cluster, namespace: string, name: string): Promise<void> {
  const limit = `--timeout=${readyLimitMs / 1000}s`;
  await kubectl.must(['-n', namespace, 'wait', `pod/${name}`, '--for=condition=Ready', limit]);
}

/** Node is what all images of the product have. */
const listen = `for (const port of [${openPort}, ${controlPort}])
  require('node:net').createServer(socket => socket.on('error', () => undefined).end()).listen(port)`;

function podOf({ namespace, name }: PodName, image: string): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image, imagePullPolicy: 'IfNotPresent', command: ['node', '-e', listen] }],
    },
  };
}

export async function addressOf(cluster: Cluster, { namespace, name }: PodName): Promise<string> {
  const { status } = await cluster.get<{ status: { podIP: string } }>('pod', name, '-n', namespace);
  return status.podIP;
}

/**
 * Whether this cluster's network enforces NetworkPolicies: what one of them forbids comes to an end, and what it allows goes on.
 *
 * @throws Error when the connections are not possible without it.
 */
export async function enforcesPolicies(cluster: Cluster): Promise<boolean> {
  const address = await addressOf(cluster, stranger);
  const [allowed, forbidden] = [`${address}:${openPort}`, `${address}:${controlPort}`];
  await untilReached(cluster, watcher, { open: [allowed, forbidden], shut: [] });
  const control = {
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
    metadata: { namespace: stranger.namespace, name: 'control' },
    spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ ports: [{ port: openPort }] }] },
  };
  await cluster.kubectl.must(['apply', '-f', '-'], JSON.stringify(control));
  try {
    await untilReached(cluster, watcher, { open: [allowed], shut: [forbidden] });
    return true;
  } catch (error) {
    if (!(error instanceof NotAsWanted)) throw error;
    return false;
  }
}

class NotAsWanted extends Error {}

/** `HOST:PORT` of each. */
export interface Reach {
  readonly open: readonly string[];
  readonly shut: readonly string[];
}

/** Resolves when the pod reaches all of `open` and, at the same time, none of `shut`: a network takes a moment to learn of a new pod. */
export async function untilReached(cluster: Cluster, pod: PodName, { open, shut }: Reach): Promise<void> {
  let reached: readonly string[] | undefined;
  try {
    await waitUntil(
      `${pod.name} to reach what it may`,
      async () => {
        reached = undefined;
        const now = await reachedBy(cluster, pod, [...open, ...shut]);
        reached = now;
        return open.every(each => now.includes(each)) && !shut.some(each => now.includes(each));
      },
      networkLimit,
    );
  } catch (cause) {
    if (reached === undefined) throw cause;
    const texts = [open, shut, reached].map(targets => targets.join(', '));
    const text = `${pod.name} should reach ${texts[0]}, and not ${texts[1]}; it reaches ${texts[2]}`;
    throw new NotAsWanted(text, { cause });
  }
}

async function reachedBy(cluster: Cluster, pod: PodName, targets: readonly string[]): Promise<readonly string[]> {
  const { code, stdout, stderr } = await runIn(cluster, pod, 'connect.ts', targets);
  if (code !== 0) throw new Error(`connections of ${pod.name} could not be tried: ${stderr}`);
  return JSON.parse(stdout) as readonly string[];
}

/** A program of this folder. */
export async function runIn(
  { kubectl }: Cluster,
  { namespace, name, container }: PodName,
  program: 'connect.ts' | 'send.ts',
  args: readonly string[],
): Promise<RunResult> {
  const text = await readFile(new URL(program, import.meta.url), 'utf8');
  const where = ['-n', namespace, name, ...(container === undefined ? [] : ['-c', container])];
  return await kubectl.run(
    ['exec', '-i', ...where, '--', 'node', '--input-type=module-typescript', '-', ...args],
    text,
  );
}
