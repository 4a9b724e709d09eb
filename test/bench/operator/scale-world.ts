/** A cluster for the bench: real API server and controllers, pods that report, a DNS server that knows none of the records. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient, type KubeClient } from '../../../operator/kube/client.ts';
import { systemClock } from '../../../relay/clock.ts';
import { type ApiWorld, namespaces, startWorld } from '../../apiserver/api-world.ts';
import { installOwnCrds } from '../../apiserver/install-crds.ts';
import { KeptMetrics } from '../../operator/kube/fakes.ts';
import { startAuthoritativeDns } from '../../support/authoritative-dns.ts';
import { writeImageSources } from '../../support/image-sources.ts';
import { startNodeStandIn } from '../../support/node-stand-in.ts';
import { type OperatorProcess, startOperatorProcess } from '../../support/operator-process.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { fill } from './fill.ts';
import { type FleetSize, zone } from './fleet.ts';
import { type Sightings, startSightings } from './sightings.ts';

export interface ScaleWorld extends AsyncDisposable {
  readonly api: ApiWorld;
  /** For requests whose time counts. */
  readonly client: KubeClient;
  readonly sightings: Sightings;
  readonly dns: number;
  startOperator(): Promise<OperatorProcess>;
}

export interface ScaleWorldOptions {
  readonly size: FleetSize;
  readonly operatorFlags: readonly string[];
  readonly nodeFlags: readonly string[];
}

/** Those that relays need. */
const controllers = ['statefulset', 'garbage-collector', 'persistentvolume-binder', 'namespace'].map(
  name => `${name}-controller`,
);
/** Each look at files that nobody changed is load that a real cluster spreads over its nodes. */
const refreshMs = 3_600_000;

export async function startScaleWorld(options: ScaleWorldOptions): Promise<ScaleWorld> {
  const { size, operatorFlags, nodeFlags } = options;
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await temporaryFolder());
  const dnsFolder = join(folder.path, 'dns');
  const sources = join(folder.path, 'sources');
  await mkdir(dnsFolder);
  await mkdir(sources);
  await writeImageSources(sources);
  const dns = parts.use(await startAuthoritativeDns(dnsFolder));
  await dns.setZone(zone, [`@ NS ns1.${zone}.`, `ns1 A ${dns.address}`]);
  const api = parts.use(await startWorld({ controllerManager: true, controllers, audit: 'Disabled' }));
  await installOwnCrds(api);
  await api.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'postroad-system' } });
  await fill(api, size);
  parts.use(await startNodeStandIn({ server: api.server, mode: 'reports', refreshMs }));
  const metrics = new KeptMetrics();
  const client = createClient({ connection: api.server.admin, clock: systemClock, metrics, userAgent: 'bench' });
  parts.defer(() => client.close());
  const sightings = parts.use(await startSightings(client));
  const kept = parts.move();
  return {
    api,
    client,
    sightings,
    dns: dns.pid,
    startOperator: () =>
      startOperatorProcess({
        kubeconfigFile: api.server.kubeconfigFile,
        flags: [
          ...['--namespace', 'postroad-system', '--nameservers', `${dns.address}:53`, '--dns-targets', 'Any'],
          ...operatorFlags,
        ],
        nodeFlags,
        sources,
      }),
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}
