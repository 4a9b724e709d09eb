/**
 * What a cluster's owner runs beside the product: an Alertmanager and two Prometheus servers, as processes of the node. Both take their
 * targets and rules from the monitors and rules in the cluster; `hurried` with less time (hurried.ts), and it is the one that alerts.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { foreignCrdFiles } from '../../apiserver/setup/foreign-crds.ts';
import { freePort } from '../../support/free-port.ts';
import { startProcess } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type Cluster, ownedLabel } from '../cluster.ts';
import { type Alertmanager, alertmanagerAt, type Prometheus, prometheusAt } from './api.ts';
import { endpointsOf, type Monitor, startDiscovery, targetsFile } from './discovery.ts';
import { hurriedPace, hurriedRule, type Pace, type Rule } from './hurried.ts';

export interface MonitoringStack extends AsyncDisposable {
  readonly shipped: Prometheus;
  readonly hurried: Prometheus;
  readonly alertmanager: Alertmanager;
}

interface RuleObject {
  readonly spec: { readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[] };
}

interface Objects {
  readonly monitors: readonly Monitor[];
  readonly groups: RuleObject['spec']['groups'];
}

const readyLimitMs = 60_000;

/** The kinds that monitors and rules are of. Gone after the journey. */
export async function defineKinds({ kubectl }: Cluster): Promise<void> {
  const files = (await foreignCrdFiles()).filter(file => file.includes('monitoring.coreos.com'));
  const named = files.flatMap(file => ['-f', file]);
  await kubectl.must(['apply', '--server-side', ...named]);
  await kubectl.must(['label', ...named, `${ownedLabel}=yes`]);
  await kubectl.must(['wait', ...named, '--for=condition=Established', '--timeout=60s']);
}

/** By what is in the cluster now. Resolves when all of it answers. */
export async function startMonitoring(cluster: Cluster): Promise<MonitoringStack> {
  await using starting = new AsyncDisposableStack();
  const { path } = starting.use(await temporaryFolder());
  const objects = await objectsOf(cluster);
  const targets = join(path, 'targets');
  await mkdir(targets);
  starting.use(await startDiscovery(objects.monitors, targets));
  const alertmanager = await startAlertmanager(path, starting);
  const start = async (name: string, config: PrometheusFiles): Promise<Prometheus> =>
    prometheusAt(await startPrometheus(join(path, name), config, starting));
  const [shipped, hurried] = await Promise.all([
    start('shipped', configOf(objects, { targets })),
    start('hurried', configOf(objects, { targets, pace: hurriedPace, alertmanager })),
  ]);
  const parts = starting.move();
  return {
    ...{ shipped, hurried, alertmanager: alertmanagerAt(alertmanager) },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** One Prometheus alone that scrapes at the hurried pace, and no rules. */
export interface Scraping extends AsyncDisposable {
  readonly prometheus: Prometheus;
  /** Host and port. */
  readonly address: string;
}

/** By the monitors that are in the cluster now. */
export async function startScraping(cluster: Cluster): Promise<Scraping> {
  await using starting = new AsyncDisposableStack();
  const { path } = starting.use(await temporaryFolder());
  const { monitors } = await objectsOf(cluster);
  const targets = join(path, 'targets');
  await mkdir(targets);
  starting.use(await startDiscovery(monitors, targets));
  const config = configOf({ monitors, groups: [] }, { targets, pace: hurriedPace });
  const address = await startPrometheus(join(path, 'prometheus'), config, starting);
  const parts = starting.move();
  return { prometheus: prometheusAt(address), address, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

async function objectsOf({ get }: Cluster): Promise<Objects> {
  const { items: monitors } = await get<{ items: Monitor[] }>('servicemonitors,podmonitors', '-A');
  const { items: rules } = await get<{ items: RuleObject[] }>('prometheusrules', '-A');
  return { monitors, groups: rules.flatMap(({ spec }) => spec.groups) };
}

interface PrometheusFiles {
  readonly config: object;
  readonly rules: object;
}

interface Surroundings {
  readonly targets: string;
  /** Left out: nobody is told of alerts. */
  readonly alertmanager?: string;
  /** In the place of what the monitors say. */
  readonly pace?: Pace;
}

function configOf({ monitors, groups }: Objects, { targets, alertmanager, pace }: Surroundings): PrometheusFiles {
  const alerting = { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] };
  const scrapes = monitors.flatMap(monitor =>
    endpointsOf(monitor).map(({ path, interval, scrapeTimeout }, index) => ({
      job_name: `${monitor.kind}/${monitor.metadata.namespace}/${monitor.metadata.name}/${index}`,
      file_sd_configs: [{ files: [targetsFile(targets, monitor, index)] }],
      metrics_path: path,
      scrape_interval: pace?.interval ?? interval,
      scrape_timeout: pace?.scrapeTimeout ?? scrapeTimeout ?? '10s',
    })),
  );
  return {
    config: {
      global: { evaluation_interval: pace === undefined ? '30s' : '1s' },
      ...{ rule_files: ['rules.yaml'], scrape_configs: scrapes },
      ...(alertmanager !== undefined && { alerting }),
    },
    rules: {
      groups: pace === undefined ? groups : groups.map(each => ({ ...each, rules: each.rules.map(hurriedRule) })),
    },
  };
}

async function startPrometheus(folder: string, files: PrometheusFiles, parts: AsyncDisposableStack): Promise<string> {
  await mkdir(folder);
  const config = join(folder, 'prometheus.yaml');
  await writeFile(config, stringify(files.config));
  await writeFile(join(folder, 'rules.yaml'), stringify(files.rules));
  const where = [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, 'data')}`];
  return await start('prometheus', [...where, '--log.level=warn'], parts);
}

async function startAlertmanager(folder: string, parts: AsyncDisposableStack): Promise<string> {
  const config = join(folder, 'alertmanager.yaml');
  await writeFile(config, stringify({ route: { receiver: 'nobody' }, receivers: [{ name: 'nobody' }] }));
  const where = [`--config.file=${config}`, `--storage.path=${join(folder, 'alertmanager')}`];
  return await start('prometheus-alertmanager', [...where, '--cluster.listen-address='], parts);
}

/** Host and port where it answers. */
async function start(program: string, args: readonly string[], parts: AsyncDisposableStack): Promise<string> {
  const address = `127.0.0.1:${await freePort()}`;
  const running = startProcess(program, [...args, `--web.listen-address=${address}`]);
  parts.defer(async () => void (await running.stop()));
  let ended = false;
  const mark = (): void => {
    ended = true;
  };
  running.exited.then(mark, mark);
  await waitUntil(
    `${program} to be ready`,
    async () => {
      if (ended) throw new Error(`${program} has ended\n${running.errors()}`);
      // Refused until it listens; that it ended is told above.
      const answer = await fetch(`http://${address}/-/ready`, { signal: AbortSignal.timeout(5000) }).catch(
        () => undefined,
      );
      return answer?.ok;
    },
    { limitMs: readyLimitMs, everyMs: 200 },
  );
  return address;
}
