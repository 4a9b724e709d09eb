/** The operator as a process, against an API server of the test's. */
import { join } from 'node:path';
import { type Exit, startProcess } from './processes.ts';
import { waitUntil } from './wait-until.ts';

export interface OperatorProcess extends AsyncDisposable {
  readonly pid: number;
  /** Of its HTTP side. */
  readonly url: string;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  readonly exited: Promise<Exit>;
  get(path: '/healthz' | '/readyz' | '/metrics'): Promise<{ readonly status: number; readonly text: string }>;
  /** The value of one series; undefined: there is none. */
  metric(series: string): Promise<number | undefined>;
  whenReady(limitMs?: number): Promise<void>;
  /** SIGSTOP and SIGCONT: the machine stands still, and goes on. */
  signal(signal: NodeJS.Signals): void;
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

export interface OperatorProcessOptions {
  readonly kubeconfigFile: string;
  readonly flags?: readonly string[];
  /** Of Node itself; the chart's, unless said otherwise. */
  readonly nodeFlags?: readonly string[];
  /** POD_NAME. */
  readonly name?: string;
  /** The operator's own main, unless a test composes its own. */
  readonly program?: string;
  /** The folder that has it; this repository, unless said otherwise. */
  readonly sources?: string;
}

/** What the chart starts Node with. */
export const operatorNodeFlags: readonly string[] = ['--max-semi-space-size=8', '--heap-growing-percent=40'];

const root = new URL('../..', import.meta.url).pathname;

/** Resolves when its HTTP side answers; it is ready later. */
export async function startOperatorProcess(options: OperatorProcessOptions): Promise<OperatorProcess> {
  const { kubeconfigFile, flags = [], nodeFlags = operatorNodeFlags, name = 'postroad-operator-0' } = options;
  const { program = 'operator/main.ts', sources = root } = options;
  const log: Readonly<Record<string, unknown>>[] = [];
  const owned = startProcess(
    process.execPath,
    [
      ...[...nodeFlags, join(sources, program), '--kubeconfig', kubeconfigFile, '--http', '127.0.0.1:0'],
      // No test asks the Internet; nobody listens there.
      ...['--image', 'postroad:test', '--nameservers', '127.83.0.53:53', ...flags],
    ],
    {
      env: { POD_NAME: name, POD_NAMESPACE: 'mail', MALLOC_ARENA_MAX: '2' },
      onLine: line => log.push(JSON.parse(line)),
    },
  );
  let end: Exit | undefined;
  owned.exited.then(
    exit => {
      end = exit;
    },
    () => undefined,
  );
  const port = await waitUntil(
    'the operator to start',
    () => {
      if (end !== undefined) throw new Error(`the operator ended: ${JSON.stringify([end, log])}\n${owned.errors()}`);
      const http = log.find(({ msg }) => msg === 'started')?.['http'];
      return (http as { readonly port: number } | undefined)?.port;
    },
    { limitMs: 30_000 },
  );
  const get: OperatorProcess['get'] = async path => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(10_000) });
    return { status: answer.status, text: await answer.text() };
  };
  return {
    pid: owned.pid,
    url: `http://127.0.0.1:${port}`,
    log,
    exited: owned.exited,
    get,
    async metric(series) {
      const line = (await get('/metrics')).text.split('\n').find(text => text.startsWith(`${series} `));
      return line === undefined ? undefined : Number(line.slice(series.length + 1));
    },
    async whenReady(limitMs = 30_000) {
      await waitUntil('the operator to be ready', async () => (await get('/readyz')).status === 200, { limitMs });
    },
    signal: signal => void owned.child.kill(signal),
    stop: (signal = 'SIGTERM') => owned.stop(signal, 30_000),
    async [Symbol.asyncDispose]() {
      await owned.stop('SIGKILL');
    },
  };
}
