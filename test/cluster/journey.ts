/** One journey of a user through the product: in a cluster that is clean before, and is looked at before it is cleaned when the journey fails. */
import { type TestContext, test } from 'node:test';
import { waitUntil } from '../support/wait-until.ts';
import { type Cluster, connectCluster, ownedLabel, release, releaseNamespace } from './cluster.ts';
import { keepDiagnostics } from './diagnostics.ts';
import { unmountVolumes } from './node/mounts.ts';
import type { NodePower } from './node-power.ts';

export type Travel = (cluster: Cluster, t: TestContext) => Promise<void>;
export type PoweredCluster = Cluster & { readonly node: NodePower };

const standardLimitMs = 5 * 60_000;

export function journey(name: string, travel: Travel, limitMs: number = standardLimitMs): void {
  test(name, { timeout: limitMs }, async t => {
    const cluster = await connectCluster();
    await cleanCluster(cluster);
    try {
      await travel(cluster, t);
    } catch (error) {
      const folder = await keepDiagnostics(cluster, name);
      if (folder !== undefined) t.diagnostic(`what the cluster was like: ${folder}`);
      // A cluster of our own is left as it is, for who looks; the next journey cleans it.
      if (cluster.run === undefined) await cleanCluster(cluster);
      throw error;
    }
    await cleanCluster(cluster);
  });
}

/** For what only a node of our own can be made to do: skipped in a user's cluster. */
export function nodeJourney(
  name: string,
  travel: (cluster: PoweredCluster, t: TestContext) => Promise<void>,
  limitMs: number = standardLimitMs,
): void {
  journey(
    name,
    async (cluster, t) => {
      const { node } = cluster;
      if (node === undefined) t.skip('needs power over the node, which is not ours');
      else await travel({ ...cluster, node }, t);
    },
    limitMs,
  );
}

/** Release, definitions and the namespaces of journeys go; whatever else a user's cluster has stays. */
async function cleanCluster(cluster: Cluster): Promise<void> {
  const { kubectl, helm, run } = cluster;
  const found = await findRemains(cluster);
  if (found === undefined) return;
  const { owned, definitions, relays, isReleased } = found;
  const foreign = relays.filter(({ namespace }) => !owned.includes(namespace));
  if (foreign.length > 0 && run === undefined) {
    throw new Error('this cluster has MailRelays that no journey made: journeys are for a cluster that nobody uses');
  }
  // A folder that something is mounted on cannot be removed; a journey that was killed has left its mounts.
  if (run !== undefined) await unmountVolumes(run);
  // No namespace can go while a server of one of the cluster's APIs is away.
  await kubectl.must(['delete', 'apiservice', '-l', ownedLabel, '--wait']);
  // Before its release, which takes the definitions along where they are not kept: they would wait for finalizers that the operator would put back.
  const operator = ['deployment', '--all', '-n', releaseNamespace, '--cascade=foreground', '--timeout=60s'];
  await kubectl.must(['delete', ...operator]);
  await letGo(kubectl, relays);
  if (isReleased) await helm('uninstall', release, '--namespace', releaseNamespace, '--no-hooks', '--wait');
  const namespaces = [...new Set([...owned, ...foreign.map(({ namespace }) => namespace), releaseNamespace])];
  const ignore = ['--ignore-not-found', '--timeout=90s'];
  await kubectl.must(['delete', 'namespace', ...namespaces, ...ignore, '--wait=false']);
  // Not before: somebody would make them again. Nor after: a namespace that is not empty when its time comes waits as long again.
  // And without the time that a relay gets to hand its queue over.
  const content = ['statefulset,deployment,pod,pvc', '--all', '--force', '--grace-period=0', '--wait=false'];
  await Promise.all(namespaces.map(namespace => kubectl.must(['delete', ...content, '-n', namespace])));
  const ours = ['clusterrole,clusterrolebinding', '-l', 'app.kubernetes.io/name=postroad', '--wait'];
  await Promise.all([
    kubectl.must(['delete', 'namespace', ...namespaces, ...ignore]),
    definitions.length > 0 && kubectl.must(['delete', 'crd', ...definitions, ...ignore]),
    kubectl.must(['delete', ...ours]),
    kubectl.must(['delete', 'crd,clusterrole,clusterrolebinding', '-l', ownedLabel, '--wait']),
  ]);
  await waitUntil(
    'the volumes of the journey to be released',
    async () => !(await kubectl.must(['get', 'pv', '-o', 'wide'])).includes('queue-'),
    { limitMs: 60_000, everyMs: 200 },
  );
}

interface Remains {
  /** Namespaces of journeys. */
  readonly owned: readonly string[];
  readonly definitions: readonly string[];
  readonly relays: readonly NamedRelay[];
  readonly isReleased: boolean;
}

/** Undefined: nothing is there that a journey left. */
async function findRemains({ kubectl, helm }: Cluster): Promise<Remains | undefined> {
  const [owned, known, labelled, releases] = await Promise.all([
    namesOf(kubectl, ['namespaces', '-l', ownedLabel]),
    namesOf(kubectl, ['crd,namespaces']),
    namesOf(kubectl, ['crd,apiservices,clusterroles,clusterrolebindings', '-l', ownedLabel]),
    helm('list', '--all-namespaces', '--short', '--filter', `^${release}$`),
  ]);
  const definitions = known.filter(name => name.endsWith('.postroad.dev'));
  const isReleased = releases.trim() !== '';
  const isClean = [owned, definitions, labelled].every(({ length }) => length === 0);
  if (isClean && !isReleased && !known.includes(releaseNamespace)) return undefined;
  return { owned, definitions, relays: definitions.length > 0 ? await relaysOf(kubectl) : [], isReleased };
}

interface NamedRelay {
  readonly namespace: string;
  readonly name: string;
}

async function relaysOf(kubectl: Cluster['kubectl']): Promise<readonly NamedRelay[]> {
  const text = await kubectl.must(['get', 'mailrelays', '-A', '-o', 'json']);
  const { items } = JSON.parse(text) as { readonly items: readonly { readonly metadata: NamedRelay }[] };
  return items.map(({ metadata: { namespace, name } }) => ({ namespace, name }));
}

/** No operator is there any more that could do it. */
async function letGo(kubectl: Cluster['kubectl'], relays: readonly NamedRelay[]): Promise<void> {
  const patch = JSON.stringify({ metadata: { finalizers: null } });
  for (const { namespace, name } of relays) {
    await kubectl.must(['patch', 'mailrelay', name, '-n', namespace, '--type', 'merge', '--patch', patch]);
  }
}

async function namesOf(kubectl: Cluster['kubectl'], args: readonly string[]): Promise<string[]> {
  const text = await kubectl.must(['get', ...args, '-o', 'name']);
  return text.split('\n').flatMap(line => (line === '' ? [] : [line.slice(line.indexOf('/') + 1)]));
}
