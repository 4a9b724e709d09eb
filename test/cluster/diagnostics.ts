/** What the cluster was like when a journey failed: objects, events, logs of pods and of the node's daemons, as files. Secrets stay where they are. */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from './cluster.ts';
import { runPaths } from './node/layout.ts';

interface Pods {
  readonly items: readonly { readonly metadata: { readonly namespace: string; readonly name: string } }[];
}

/** Kinds of a cluster without our definitions are asked for as well: the answer is then the error. */
const asked: Readonly<Record<string, readonly string[]>> = {
  overview: ['get', 'nodes,pods,services,endpointslices,statefulsets,deployments,jobs,pvc,pv', '-A', '-o', 'wide'],
  events: ['get', 'events', '-A', '--sort-by=.lastTimestamp'],
  relays: ['get', 'mailrelays,domainpolicies', '-A', '-o', 'yaml'],
  workloads: ['get', 'statefulsets,deployments,jobs,services,pdb,networkpolicies', '-A', '-o', 'yaml'],
  pods: ['describe', 'pods', '-A'],
};

/** Undefined: nobody said where to keep it. */
export async function keepDiagnostics({ kubectl, run }: Cluster, journey: string): Promise<string | undefined> {
  const all = process.env['POSTROAD_TEST_DIAGNOSTICS'];
  if (all === undefined) return undefined;
  const folder = join(all, journey.replaceAll(/[^\w]+/g, '-').slice(0, 60));
  await mkdir(folder, { recursive: true });
  async function keep(name: string, args: readonly string[]): Promise<string> {
    const { stdout, stderr } = await kubectl.run(args);
    await writeFile(join(folder, `${name}.txt`), `${stdout}\n${stderr}\n`);
    return stdout;
  }
  for (const [name, args] of Object.entries(asked)) await keep(name, args);
  const pods = JSON.parse(await kubectl.must(['get', 'pods', '-A', '-o', 'json'])) as Pods;
  for (const { metadata } of pods.items) {
    const logs = ['logs', metadata.name, '-n', metadata.namespace, '--all-containers', '--timestamps', '--tail=20000'];
    const name = `log-${metadata.namespace}-${metadata.name}`;
    await keep(name, logs);
    await keep(`${name}-previous`, [...logs, '--previous']);
  }
  if (run !== undefined) await cp(runPaths(run).logs, join(folder, 'node'), { recursive: true });
  return folder;
}
