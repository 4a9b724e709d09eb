/** A real relay process that a test owns: started, killed, restarted on the same data folder and ports, and asked for its metrics. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RelayConfigInput } from '../../relay/config.ts';
import { type Exit, type OwnedProcess, startProcess } from './processes.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { waitUntil } from './wait-until.ts';

/** By name and labels as Prometheus writes them: `postroad_queue_recipients{state="Held"}`. */
export type MetricValues = ReadonlyMap<string, number>;

export interface RelayProcessOptions {
  /** Instead of relay/main.ts. */
  readonly entry?: string;
  /** Of Node. */
  readonly nodeFlags?: readonly string[];
  /** Instead of an empty one of its own. */
  readonly dataDir?: string;
  readonly readyLimitMs?: number;
  /** Its log, line by line. */
  readonly onLog?: (line: string) => void;
}

export interface RelayProcess extends AsyncDisposable {
  readonly folder: string;
  readonly dataDir: string;
  readonly pid: number;
  readonly running: boolean;
  /** From start of the process to its ready line, the last time. */
  readonly readyMs: number;
  port(listener?: string): number;
  url(path: string): string;
  start(): Promise<void>;
  stop(): Promise<Exit>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Writes the configuration anew; the relay takes it up by itself when it runs. */
  configure(config: RelayConfigInput): Promise<void>;
  metrics(): Promise<MetricValues>;
  /** The end of its log and of standard error. */
  log(): string;
  /** Resident memory at its highest since the process began. */
  peakMemoryBytes(): Promise<number>;
}

const main = new URL('../../relay/main.ts', import.meta.url).pathname;
const logLinesKept = 200;
const portLimitMs = 20_000;
const portPauseMs = 200;

/** A relay that trusts this machine, on ports of the system's choice. */
export function relayConfig(changes: Partial<RelayConfigInput> & Pick<RelayConfigInput, 'route'>): RelayConfigInput {
  return {
    revision: 'test',
    namespace: 'mail',
    name: 'outbound',
    hostname: 'relay.test',
    listeners: [
      {
        name: 'smtp',
        port: 25,
        bindPort: 0,
        bindAddress: '127.0.0.1',
        protocol: 'SMTP',
        tls: 'Disabled',
        authentication: 'None',
      },
    ],
    http: { bindAddress: '127.0.0.1', bindPort: 0 },
    clients: { trustedNetworks: ['127.0.0.0/8'] },
    policies: [{ namespace: 'mail', name: 'example', domains: ['example.com'], senders: { namespaces: ['mail'] } }],
    ...changes,
  };
}

interface ReadyLine {
  readonly msg?: unknown;
  readonly listeners: readonly { readonly name: string; readonly port: number }[];
  readonly http: { readonly port: number };
}

export async function startRelayProcess(
  config: RelayConfigInput,
  options: RelayProcessOptions = {},
): Promise<RelayProcess> {
  const folder = await temporaryFolder();
  const relay = new Relay(folder.path, config, options, () => folder[Symbol.asyncDispose]());
  try {
    await relay.configure(config);
    await relay.start();
    return relay;
  } catch (error) {
    await relay[Symbol.asyncDispose]();
    throw error;
  }
}

class Relay implements RelayProcess {
  readonly folder: string;
  readonly dataDir: string;
  readyMs = 0;
  readonly #configFile: string;
  readonly #options: RelayProcessOptions;
  readonly #removeFolder: () => PromiseLike<void>;
  #config: RelayConfigInput;
  #process: OwnedProcess | undefined;
  #ready: ReadyLine | undefined;
  #log: string[] = [];

  constructor(
    folder: string,
    config: RelayConfigInput,
    options: RelayProcessOptions,
    removeFolder: () => PromiseLike<void>,
  ) {
    this.folder = folder;
    this.dataDir = options.dataDir ?? join(folder, 'data');
    this.#configFile = join(folder, 'config', 'relay.json');
    this.#config = config;
    this.#options = options;
    this.#removeFolder = removeFolder;
  }

  get pid(): number {
    return this.#running().pid;
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  port(listener?: string): number {
    const found = this.#ready?.listeners.find(({ name }) => listener === undefined || name === listener);
    assert.ok(found, `no listener ${listener ?? ''}`);
    return found.port;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#ready?.http.port}${path}`;
  }

  async configure(config: RelayConfigInput): Promise<void> {
    this.#config = config;
    await mkdir(join(this.folder, 'config'), { recursive: true });
    await writeFile(this.#configFile, JSON.stringify(this.#pinned()));
  }

  /** Once ports are known, a restart keeps them. */
  #pinned(): RelayConfigInput {
    const ready = this.#ready;
    if (ready === undefined) return this.#config;
    const ports = new Map(ready.listeners.map(({ name, port }) => [name, port]));
    return {
      ...this.#config,
      listeners: this.#config.listeners.map(listener => ({
        ...listener,
        bindPort: ports.get(listener.name) ?? listener.bindPort,
      })),
      http: { ...this.#config.http, bindPort: ready.http.port },
    };
  }

  async start(): Promise<void> {
    assert.ok(!this.running, 'the relay runs already');
    const deadlineMs = performance.now() + portLimitMs;
    for (;;) {
      try {
        await this.#start();
        return;
      } catch (error) {
        // The system may have given its port to somebody's connection while it was away.
        const isTaken = this.#ready !== undefined && String(error).includes('EADDRINUSE');
        if (!isTaken || performance.now() > deadlineMs) throw error;
        await delay(portPauseMs);
      }
    }
  }

  async #start(): Promise<void> {
    await this.configure(this.#config);
    const { entry = main, nodeFlags = [], readyLimitMs = 30_000 } = this.#options;
    const args = [...nodeFlags, entry, '--config', this.#configFile, '--data-dir', this.dataDir];
    const begun = performance.now();
    const ready = Promise.withResolvers<ReadyLine>();
    const started = startProcess(process.execPath, args, {
      onLine: line => this.#takeLine(line, ready.resolve),
    });
    this.#process = started;
    void started.exited.then(({ code, signal }) => {
      this.#process = undefined;
      ready.reject(
        new Error(`the relay ended with ${signal ?? code} before it was ready:\n${this.log()}${started.errors()}`),
      );
    }, ready.reject);
    const timer = setTimeout(
      () => ready.reject(new Error(`not ready in ${readyLimitMs} ms:\n${this.log()}`)),
      readyLimitMs,
    );
    try {
      this.#ready = await ready.promise;
      this.readyMs = performance.now() - begun;
    } finally {
      clearTimeout(timer);
    }
  }

  #takeLine(line: string, ready: (line: ReadyLine) => void): void {
    this.#options.onLog?.(line);
    this.#log.push(line);
    if (this.#log.length > logLinesKept) this.#log.shift();
    if (line.includes('"msg":"ready"')) ready(JSON.parse(line) as ReadyLine);
  }

  async stop(): Promise<Exit> {
    return await this.#running().stop('SIGTERM', 40_000);
  }

  async kill(): Promise<void> {
    if (this.#process !== undefined) await this.#process.stop('SIGKILL');
  }

  async metrics(): Promise<MetricValues> {
    const response = await fetch(this.url('/metrics'), { signal: AbortSignal.timeout(20_000) });
    assert.equal(response.status, 200, 'GET /metrics');
    return parseMetrics(await response.text());
  }

  log(): string {
    return this.#log.join('\n');
  }

  async peakMemoryBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
    assert.ok(peak, 'VmHWM');
    return Number(peak) * 1024;
  }

  #running(): OwnedProcess {
    assert.ok(this.#process, `the relay does not run:\n${this.log()}`);
    return this.#process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#removeFolder();
  }
}

export function parseMetrics(text: string): MetricValues {
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map(line => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))] as const;
    }),
  );
}

export function metric(values: MetricValues, name: string): number {
  const value = values.get(name);
  assert.ok(value !== undefined, `no metric ${name}`);
  return value;
}

export function queuedRecipients(values: MetricValues): number {
  const states = ['Waiting', 'Leased', 'Held'].map(state =>
    metric(values, `postroad_queue_recipients{state="${state}"}`),
  );
  return states.reduce((sum, depth) => sum + depth, 0);
}

/** G3: accepted = delivered + failed + discarded + queued, from one reading of the metrics. */
export function assertConservation(values: MetricValues): void {
  const total = (name: string): number => metric(values, `postroad_queue_${name}_recipients_total`);
  const queued = queuedRecipients(values);
  const right = total('delivered') + total('failed') + total('discarded') + queued;
  assert.equal(
    total('accepted'),
    right,
    `accepted ${total('accepted')} = delivered ${total('delivered')} + failed ${total('failed')} + discarded ${total('discarded')} + queued ${queued}`,
  );
}

/** Waits until nothing is queued, asserts conservation, and returns the metrics. */
export async function drained(relay: RelayProcess, limitMs = 60_000): Promise<MetricValues> {
  const values = await waitUntil(
    'an empty queue',
    async () => {
      const now = await relay.metrics();
      return queuedRecipients(now) === 0 ? now : undefined;
    },
    { limitMs, everyMs: 200 },
  );
  assertConservation(values);
  return values;
}
