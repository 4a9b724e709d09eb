/** The cluster that a journey runs in: the one that test/cluster/run.ts booted, or a user's own. */
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '../../operator/kube/client.ts';
import { kubeconfigConnection } from '../../operator/kube/kubeconfig.ts';
import { pathOf, type Resource } from '../../operator/kube/object.ts';
import { systemClock } from '../../relay/clock.ts';
import { KeptMetrics } from '../operator/kube/fakes.ts';
import { type Kubectl, kubectlOf } from '../support/kubectl.ts';
import { mustRun } from '../support/processes.ts';
import { type NodePower, nodePowerOf } from './node-power.ts';

export interface Cluster {
  /** Of the product, as `repository:tag`. */
  readonly image: string;
  /** The folder of the run; undefined: a user's own cluster. */
  readonly run: string | undefined;
  readonly kubectl: Kubectl;
  readonly kubeconfigFile: string;
  /** What the node itself can be made to do; undefined: a user's own cluster, whose nodes are not ours. */
  readonly node: NodePower | undefined;
  /** An object, or a list of them, by kubectl. */
  get<T>(...args: readonly string[]): Promise<T>;
  /** The same over a connection that stays: for what is asked until it holds. Each kubectl takes a tenth of a second of a processor. */
  read<T>(resource: Resource, place: Parameters<typeof pathOf>[1], labelSelector?: string): Promise<T>;
  helm(...args: readonly string[]): Promise<string>;
  /** Commands as a page of the documentation has them, by a shell that stops at the first that fails. */
  shell(script: string, options?: ShellOptions): Promise<string>;
  /** A namespace that is removed after the journey, and before the next. */
  createNamespace(name: string): Promise<void>;
  /** The same for one that the documentation's commands made. */
  adoptNamespace(name: string): Promise<void>;
  /** The chart of the tree with the product's image; resolves when the operator is ready. */
  installChart(values?: Readonly<Record<string, string>>): Promise<void>;
}

export interface ShellOptions {
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

export const release = 'postroad';
export const releaseNamespace = 'postroad-system';
/** On namespaces, and what else is of no namespace, that are a journey's. */
export const ownedLabel = 'postroad-test-journey';
/** A `kubectl wait` of the documentation included. */
const commandLimitMs = 240_000;
const root = new URL('../..', import.meta.url).pathname;

/** @throws Error outside of test/cluster/run.ts. */
export async function connectCluster(): Promise<Cluster> {
  const { KUBECONFIG: kubeconfigFile, POSTROAD_TEST_IMAGE: image, POSTROAD_TEST_RUN: run } = process.env;
  if (kubeconfigFile === undefined || image === undefined) {
    throw new Error('journeys are run by test/cluster/run.ts; in a cluster of yours with POSTROAD_TEST_IMAGE');
  }
  const cache = join(tmpdir(), 'kubectl');
  await mkdir(cache, { recursive: true });
  const kubectl = await kubectlOf({ kubeconfigFile }, cache, commandLimitMs);
  const shell: Cluster['shell'] = async (script, { cwd = root, timeoutMs = commandLimitMs } = {}) =>
    await mustRun('bash', ['-euo', 'pipefail', '-c', script], { cwd, timeoutMs });
  const helm: Cluster['helm'] = async (...args) =>
    await mustRun('helm', args, { cwd: root, timeoutMs: commandLimitMs });
  const adoptNamespace: Cluster['adoptNamespace'] = async name => {
    await kubectl.must(['label', 'namespace', name, `${ownedLabel}=yes`]);
  };
  const connection = await kubeconfigConnection({ file: kubeconfigFile });
  const client = createClient({ connection, clock: systemClock, metrics: new KeptMetrics() });
  const signal = new AbortController().signal;
  return {
    ...{ image, run, kubectl, kubeconfigFile, helm, shell, adoptNamespace },
    node: run === undefined ? undefined : await nodePowerOf(run, kubectl),
    get: async (...args) => JSON.parse(await kubectl.must(['get', ...args, '-o', 'json'])),
    read: async (resource, place, labelSelector) =>
      await client.request({ method: 'GET', path: pathOf(resource, place), query: { labelSelector }, signal }),
    async createNamespace(name) {
      await kubectl.must(['create', 'namespace', name]);
      await adoptNamespace(name);
    },
    async installChart(values = {}) {
      const [repository = '', tag = ''] = splitImage(image);
      const all = { 'image.repository': repository, 'image.tag': tag, ...values };
      const settings = Object.entries(all).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
      const where = ['--namespace', releaseNamespace, '--create-namespace', '--wait', '--timeout', '3m'];
      await helm('upgrade', '--install', release, 'charts/postroad', ...where, ...settings);
    },
  };
}

/** Repository and tag: the host of a repository may have a port. */
export function splitImage(image: string): readonly [string, string] {
  const colon = image.lastIndexOf(':');
  return [image.slice(0, colon), image.slice(colon + 1)];
}
