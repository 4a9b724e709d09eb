/** Our relay as it is shipped: default limits, default log level, its log in a file as Postfix's is. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RelayConfigInput } from '../../../relay/config.ts';
import { startProcess } from '../../support/processes.ts';
import { relayConfig } from '../../support/relay-process.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { startZone, type Zone } from '../../support/zone.ts';
import type { Contender, ContenderKind, Task } from './contender.ts';
import { destinationAddress, destinationName } from './destinations.ts';
import { threadCpuSeconds } from './usage.ts';

const here = new URL('../../..', import.meta.url).pathname;
const stopLimitMs = 40_000;

export interface PostroadOptions {
  readonly name?: string;
  /** Where the source is: another tree is a candidate to compare with. */
  readonly root?: string;
  /** Before the entry: such as those of a profile. */
  readonly nodeOptions?: readonly string[];
}

export type Program = Required<PostroadOptions>;

export function postroad({ name = 'postroad', root = here, nodeOptions = [] }: PostroadOptions = {}): ContenderKind {
  return {
    name,
    prepare: async () => ['Node', process.version, ...nodeOptions].join(' '),
    start: task => startPostroad(task, { name, root, nodeOptions }),
  };
}

/** `queue`: instead of one on a volume. */
export async function startPostroad(
  task: Task,
  { name, root, nodeOptions }: Program,
  queue?: RelayConfigInput['queue'],
): Promise<Contender> {
  const zone = task.destinations > 1 ? await startZone(zoneTable(task.destinations)) : undefined;
  const configFile = join(task.folder, 'relay.json');
  await writeFile(configFile, JSON.stringify({ ...config(task, zone), ...(queue === undefined ? {} : { queue }) }));
  const dataDir = join(task.folder, 'data');
  await mkdir(dataDir, { recursive: true });
  // Not beside its configuration, whose folder it watches.
  const logFolder = join(task.folder, 'log');
  await mkdir(logFolder, { recursive: true });
  const logFile = join(logFolder, 'relay.log');
  await writeFile(logFile, '');
  const args = [...nodeOptions, join(root, 'relay', 'main.ts'), '--config', configFile, '--data-dir', dataDir];
  // The shell puts itself out of the way: the log goes to a file without passing through the bench.
  const shell = ['-c', 'log=$1; shift; exec "$@" >"$log" 2>&1', 'sh', logFile, process.execPath, ...args];
  const relay = startProcess('sh', shell, { cwd: task.folder });

  async function stop(): Promise<void> {
    await relay.stop('SIGTERM', stopLimitMs);
    await zone?.[Symbol.asyncDispose]();
  }

  async function readyLine(): Promise<string | undefined> {
    const log = await readFile(logFile, 'utf8');
    if (relay.child.exitCode !== null) throw new Error(`the relay ended: ${log}`);
    return log.split('\n').find(line => line.includes('"msg":"ready"'));
  }

  try {
    const line = await waitUntil('the relay to be ready', readyLine, { limitMs: 30_000, everyMs: 50 });
    const ready = JSON.parse(line) as { listeners: { port: number }[]; http: { port: number } };
    const port = ready.listeners[0]?.port;
    if (port === undefined) throw new Error('no listener');
    return {
      name,
      ports: [port],
      pids: [relay.pid],
      remarks: remarksOf(relay.pid, ready.http.port),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function config(task: Task, zone: Zone | undefined): RelayConfigInput {
  const base = relayConfig({ route: { type: 'Direct' } });
  const dkim =
    task.dkimKeyFile === undefined
      ? []
      : [{ selector: 'bench', algorithm: 'RSA2048' as const, privateKeyFile: task.dkimKeyFile }];
  return {
    ...base,
    listeners: base.listeners.map(listener => ({ ...listener, tls: task.tls === undefined ? 'Disabled' : 'Optional' })),
    ...(task.tls === undefined ? {} : { tls: task.tls }),
    policies: (base.policies ?? []).map(policy => ({ ...policy, dkim })),
    // As Postfix is told: a deferred message comes back after a second.
    retry: { initialDelaySeconds: 1, maxDelaySeconds: 2 },
    ...(zone === undefined
      ? { route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: task.sinkPort, tls: 'Disabled' } } }
      : { nameservers: [zone.nameserver], delivery: { mxPort: task.sinkPort } }),
  };
}

function zoneTable(destinations: number): Parameters<typeof startZone>[0] {
  const names = Array.from({ length: destinations }, (_, index) => destinationName(index));
  const entries = names.flatMap(name => [
    [name, [{ type: 'MX' as const, data: { preference: 10, exchange: `mx.${name}` } }]] as const,
    [`mx.${name}`, [{ type: 'A' as const, data: destinationAddress(name) ?? '' }]] as const,
  ]);
  return Object.fromEntries(entries);
}

/** Event-loop lag, and which threads the processor time went to, since it was asked last. */
function remarksOf(pid: number, port: number): () => Promise<string> {
  let last: ReadonlyMap<string, number> = new Map();
  return async () => {
    const now = await threadCpuSeconds(pid);
    const parts = [...now].map(([name, seconds]) => ({ name, seconds: seconds - (last.get(name) ?? 0) }));
    last = now;
    const threads = parts
      .filter(({ seconds }) => seconds >= 0.05)
      .map(({ name, seconds }) => `${name} ${seconds.toFixed(2)}`);
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(10_000) });
    const lag = /^postroad_process_event_loop_lag_seconds (\S+)$/m.exec(await response.text())?.[1];
    return `threads: ${threads.join(', ')}; event-loop lag p99 ${(Number(lag) * 1000).toFixed(1)} ms`;
  };
}
