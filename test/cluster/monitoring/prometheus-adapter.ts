/** prometheus-adapter as a process of the node, which serves custom.metrics.k8s.io from a Prometheus: how an autoscaler comes to metrics of pods. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { freePort } from '../../support/free-port.ts';
import { startProcess } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Cluster, ownedLabel } from '../cluster.ts';
import { nodeAddress } from '../node/layout.ts';
import { adapterProgram } from '../setup/programs.ts';

const namespace = 'monitoring';
const name = 'prometheus-adapter';
const values = new URL('../../../examples/prometheus-adapter/values.yaml', import.meta.url);
const readyLimitMs = 60_000;

interface Values {
  readonly rules: { readonly custom: readonly object[] };
}

/** By the rules of the example, for the Prometheus at that host and port. Resolves when the cluster serves what it has. */
export async function startPrometheusAdapter(cluster: Cluster, prometheus: string): Promise<AsyncDisposable> {
  await using starting = new AsyncDisposableStack();
  const { path } = starting.use(await temporaryFolder());
  const { rules } = parse(await readFile(values, 'utf8')) as Values;
  const config = join(path, 'config.yaml');
  // As the chart makes it of its values.
  await writeFile(config, stringify({ rules: rules.custom }));
  const port = await freePort();
  const asCluster = ['lister', 'authentication', 'authorization'].map(
    part => `--${part}-kubeconfig=${cluster.kubeconfigFile}`,
  );
  const where = [`--bind-address=${nodeAddress}`, `--secure-port=${port}`, `--cert-dir=${path}`];
  const what = [`--prometheus-url=http://${prometheus}`, `--config=${config}`, '--metrics-relist-interval=1m'];
  const running = startProcess(await adapterProgram(), [...where, ...what, ...asCluster]);
  starting.defer(async () => void (await running.stop()));
  await cluster.createNamespace(namespace);
  await cluster.kubectl.must(['apply', '-f', '-'], JSON.stringify(objects(port)));
  // Before the process: as long as an API is announced that nobody serves, no namespace can go.
  starting.defer(async () => void (await cluster.kubectl.must(['delete', 'apiservice', '-l', ownedLabel, '--wait'])));
  await waitUntil(
    'custom metrics to be served',
    async () => {
      if (running.child.exitCode !== null) throw new Error(`prometheus-adapter has ended\n${running.errors()}`);
      return (await cluster.kubectl.run(['get', '--raw', '/apis/custom.metrics.k8s.io/v1beta1'])).code === 0;
    },
    { limitMs: readyLimitMs, everyMs: 500 },
  );
  const parts = starting.move();
  return { [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

function objects(port: number): object {
  const metadata = { name, namespace };
  const items = [
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 443, targetPort: port }] } },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': name } },
      endpoints: [{ addresses: [nodeAddress] }],
      ports: [{ name: '', port, protocol: 'TCP' }],
    },
    {
      ...{ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService' },
      metadata: { name: 'v1beta1.custom.metrics.k8s.io', labels: { [ownedLabel]: 'yes' } },
      spec: {
        ...{ group: 'custom.metrics.k8s.io', version: 'v1beta1', groupPriorityMinimum: 100, versionPriority: 100 },
        ...{ service: { name, namespace }, insecureSkipTLSVerify: true },
      },
    },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}
