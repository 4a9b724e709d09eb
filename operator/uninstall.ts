/** What the chart's hook runs on `helm uninstall`, in a pod: `node operator/uninstall.ts --relays=Keep|Delete [--drain-timeout-seconds=N]` */
import { parseArgs } from 'node:util';
import { systemClock } from '../relay/clock.ts';
import { createClient } from './kube/client.ts';
import { inClusterConnection } from './kube/in-cluster.ts';
import { type Release, releaseRelays } from './release-relays.ts';

function readOptions(): Pick<Release, 'relays' | 'drainTimeoutMs'> {
  const { values } = parseArgs({
    options: { relays: { type: 'string' }, 'drain-timeout-seconds': { type: 'string', default: '0' } },
  });
  const { relays, 'drain-timeout-seconds': seconds } = values;
  if (relays !== 'Keep' && relays !== 'Delete') throw new Error(`--relays must be Keep or Delete, not ${relays}`);
  if (!/^[0-9]{1,5}$/.test(seconds)) throw new Error(`--drain-timeout-seconds must be a number, not ${seconds}`);
  return { relays, drainTimeoutMs: Number(seconds) * 1000 };
}

async function main(): Promise<void> {
  const options = readOptions();
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port, SERVICE_ACCOUNT_FOLDER: folder } = process.env;
  if (host === undefined || port === undefined) throw new Error('not in a pod: KUBERNETES_SERVICE_HOST is not set');
  const connection = await inClusterConnection({ host, port, ...(folder !== undefined && { folder }) });
  // Nobody scrapes a pod that lives for a minute.
  const metrics = { add: () => undefined, set: () => undefined, observe: () => undefined };
  const client = createClient({ connection, clock: systemClock, metrics });
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort(new Error('stopped')));
  const say = (line: string): boolean => process.stdout.write(`${line}\n`);
  try {
    await releaseRelays({ ...options, client, releaseTimeoutMs: 45_000, pollMs: 1000, signal: stop.signal, say });
  } finally {
    client.close();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
