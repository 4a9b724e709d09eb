/** The operator's process: environment, options, signals, exit code (0 stopped as asked, 1 could not go on, 2 cannot start like this). */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { systemClock } from '../relay/clock.ts';
import { createLog } from '../relay/log.ts';
import { controllers } from './controllers.ts';
import type { Connection } from './kube/connection.ts';
import { inClusterConnection } from './kube/in-cluster.ts';
import { kubeconfigConnection } from './kube/kubeconfig.ts';
import { type Operator, startOperator } from './operator.ts';
import { type Options, OptionsError, parseOptions, usage } from './options.ts';

/** Kubernetes kills after 30 s by default. */
const stopLimitMs = 25_000;

const { POD_NAME, POD_NAMESPACE, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT } = process.env;

function readOptions(): Options | undefined {
  try {
    return parseOptions(process.argv.slice(2), POD_NAMESPACE);
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    process.stderr.write(`${error.faults.join('\n')}\n${usage}\n`);
    return undefined;
  }
}

async function connect({ kubeconfig, context }: Options): Promise<Connection> {
  if (kubeconfig === undefined && KUBERNETES_SERVICE_HOST !== undefined) {
    return await inClusterConnection({ host: KUBERNETES_SERVICE_HOST, port: KUBERNETES_SERVICE_PORT ?? '443' });
  }
  return await kubeconfigConnection({
    ...(kubeconfig !== undefined && { file: kubeconfig }),
    ...(context !== undefined && { context }),
  });
}

async function readVersion(): Promise<string> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

async function main(options: Options): Promise<void> {
  const log = createLog(options.logLevel);
  const leave = (cause: unknown): never => {
    log.fatal({ err: cause }, 'the operator stops');
    process.exit(1);
  };
  // After a fault that nobody foresaw, a new process knows more than this one.
  process.on('uncaughtException', leave);
  process.on('unhandledRejection', leave);
  try {
    const version = await readVersion();
    const operator = await startOperator(options, {
      connection: await connect(options),
      factories: controllers,
      clock: systemClock,
      random: Math.random,
      log,
      identity: `${POD_NAME ?? hostname()}_${randomUUID()}`,
      version,
    });
    stopOnSignals(operator, { info: text => log.info({}, text), leave });
    log.info({ http: operator.http, version }, 'started');
    await operator.done;
    log.info({}, 'stopped');
  } catch (error) {
    leave(error);
  }
}

function stopOnSignals(
  operator: Operator,
  { info, leave }: { info(text: string): void; leave(cause: unknown): never },
): void {
  let isStopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (isStopping) return;
      isStopping = true;
      info(`${signal}: what is under way is abandoned, and the lease given back`);
      setTimeout(() => leave(new Error('stopping took too long')), stopLimitMs).unref();
      operator.stop();
    });
  }
}

if (process.argv.slice(2).some(argument => argument === '--help' || argument === '-h')) {
  process.stdout.write(`${usage}\n`);
} else {
  const options = readOptions();
  if (options === undefined) process.exitCode = 2;
  else await main(options);
}
