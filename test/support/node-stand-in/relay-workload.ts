/** The real relay in a pod's place: its own arguments and files, on the pod's address, its queue on a folder that outlives the pod. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { httpPort } from '../../../crds/listener.ts';
import { queueVolume } from '../../../operator/mailrelay/desired/names.ts';
import { type OwnedProcess, startProcess } from '../processes.ts';
import type { Container, Pod } from './api.ts';
import { type PodFiles, ProjectedFolder } from './files.ts';
import type { End, Workload } from './workload.ts';

const main = new URL('../../../relay/main.ts', import.meta.url).pathname;
/** kubelet's first back-off is 10 s. */
const restartMs = 1000;
const logLinesKept = 200;

interface RelayOptions {
  readonly pod: Pod;
  readonly address: string;
  /** Of the whole node. */
  readonly folder: string;
  readonly onChange: () => void;
  readonly onLog: (line: string) => void;
  readonly onFault: (error: unknown) => void;
}

export class RelayWorkload implements Workload {
  readonly pollMs = 200;
  restarts = 0;
  readonly dataDir: string;
  readonly #options: RelayOptions;
  readonly #container: Container;
  readonly #terminationLog: string;
  readonly #folder: ProjectedFolder;
  readonly #log: string[] = [];
  #process: OwnedProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isEnding = false;

  constructor(options: RelayOptions) {
    const { pod, folder } = options;
    const { uid = '', namespace = '' } = pod.metadata;
    const [container] = pod.spec.containers;
    if (container === undefined) throw new Error(`pod ${pod.metadata.name} has no container`);
    this.#options = options;
    this.#container = container;
    this.#terminationLog = join(folder, 'pods', uid, 'termination-log');
    this.#folder = new ProjectedFolder(join(folder, 'pods', uid, 'config'));
    const volume = pod.spec.volumes?.find(({ name }) => name === queueVolume);
    const claim = volume?.persistentVolumeClaim?.claimName;
    this.dataDir = claim === undefined ? join(folder, 'pods', uid, 'data') : join(folder, 'claims', namespace, claim);
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** The end of its log, over its restarts. */
  get log(): string {
    return this.#log.join('\n');
  }

  async start(files: PodFiles): Promise<void> {
    await mkdir(this.dataDir, { recursive: true });
    await this.refresh(files);
    await this.#run();
  }

  async refresh(files: PodFiles): Promise<void> {
    await this.#folder.show(this.#placed(files));
  }

  /** The pod has a root folder and a network of its own; here both are shared. */
  #placed(files: PodFiles): PodFiles {
    const text = files.get('relay.json');
    if (text === undefined) return files;
    const place = (_: string, value: unknown): unknown => {
      if (typeof value !== 'string') return value;
      return value === '::' ? this.#options.address : this.#inFolders(value);
    };
    return new Map(files).set('relay.json', Buffer.from(JSON.stringify(JSON.parse(text.toString('utf8'), place))));
  }

  #inFolders(text: string): string {
    const folders: Readonly<Record<string, string>> = { config: this.#folder.path, [queueVolume]: this.dataDir };
    let placed = text;
    for (const { name, mountPath } of this.#container.volumeMounts ?? []) {
      const folder = folders[name];
      const isBelow = new RegExp(`^(--[a-z-]+=)?${mountPath}(?=/|$)`);
      if (folder !== undefined) placed = placed.replace(isBelow, (_, flag = '') => `${flag}${folder}`);
    }
    return placed;
  }

  async #run(): Promise<void> {
    // One for each of its lives.
    await writeFile(this.#terminationLog, '');
    if (this.#isEnding) return;
    const own = (this.#container.args ?? []).map(arg => this.#inFolders(arg));
    const args = [main, ...own, `--termination-log=${this.#terminationLog}`];
    const running = startProcess(process.execPath, args, { onLine: line => this.#heard(line) });
    this.#process = running;
    const ended = (): void => {
      if (this.#process === running) this.#process = undefined;
      this.#options.onChange();
      if (this.#isEnding) return;
      this.#restart = setTimeout(() => {
        this.restarts += 1;
        this.#run().catch(this.#options.onFault);
      }, restartMs);
    };
    running.exited.then(ended, ended);
  }

  #heard(line: string): void {
    this.#log.push(line);
    if (this.#log.length > logLinesKept) this.#log.shift();
    this.#options.onLog(line);
  }

  async isReady(): Promise<boolean> {
    if (this.#process === undefined) return false;
    const url = `http://${this.#options.address}:${httpPort}/readyz`;
    return await new Promise<boolean>(resolve => {
      const request = get(url, { agent: false, timeout: 6000 }, answer => {
        answer.resume();
        resolve(answer.statusCode === 200);
      });
      request.on('timeout', () => request.destroy());
      request.on('error', () => resolve(false));
    });
  }

  /** As a fault of its own would end it: it comes back. */
  async crash(): Promise<void> {
    await this.#process?.stop('SIGKILL');
  }

  async stop(graceMs: number): Promise<End | undefined> {
    this.#end();
    const exit = await this.#process?.stop('SIGTERM', graceMs);
    if (exit === undefined) return undefined;
    return { exitCode: exit.code ?? 137, message: await readFile(this.#terminationLog, 'utf8') };
  }

  async kill(): Promise<void> {
    this.#end();
    await this.#process?.stop('SIGKILL');
  }

  #end(): void {
    this.#isEnding = true;
    clearTimeout(this.#restart);
  }
}
