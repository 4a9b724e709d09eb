/** Instead of a relay: answers at the pod's address what a relay with these files would say of itself. */
import {
  createServer as createWebServer,
  type IncomingMessage,
  type ServerResponse,
  type Server as Web,
} from 'node:http';
import { createServer, type Socket } from 'node:net';
import { httpPort } from '../../../crds/listener.ts';
import { filesFolder } from '../../../operator/mailrelay/desired/files.ts';
import { closeServer, listen } from './addresses.ts';
import type { PodFiles } from './files.ts';
import type { End, Workload } from './workload.ts';

export type QueueState = 'Waiting' | 'Leased' | 'Held';

/** One web server behind all addresses, so that a thousand pods cost a thousand sockets and no more. */
export class ReportServer {
  readonly #reporters = new Map<string, Reporter>();
  readonly #web: Web = createWebServer((request, response) => this.#answer(request, response));

  async open(address: string, reporter: Reporter): Promise<AsyncDisposable> {
    const sockets = new Set<Socket>();
    const server = createServer(socket => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      this.#web.emit('connection', socket);
    });
    if (!(await listen(server, httpPort, address))) throw new Error(`${address}:${httpPort} is in use`);
    this.#reporters.set(address, reporter);
    return {
      [Symbol.asyncDispose]: async () => {
        this.#reporters.delete(address);
        const closed = closeServer(server);
        for (const socket of sockets) socket.destroy();
        await closed;
      },
    };
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const reporter = this.#reporters.get(request.socket.localAddress ?? '');
    if (reporter === undefined) request.socket.destroy();
    else reporter.answer(request.url ?? '', response);
  }
}

export class Reporter implements Workload {
  readonly pollMs = undefined;
  readonly restarts = 0;
  readonly queued: Record<QueueState, number> = { Waiting: 0, Leased: 0, Held: 0 };
  openSessions = 0;
  deliveries = 0;
  /** Of a queue in Redis. */
  storeTroubles: readonly string[] = [];
  /** Of the configuration that it took; undefined: none yet. */
  revision: string | undefined;
  /** Whether it answers at all. */
  isReachable = true;
  /** Recipients of mail that it takes when it was last asked, and has not ended yet. */
  takenAtLast = 0;
  /** Whether it ends in order, and not by a kill. */
  hasLastWord = true;
  readonly #server: ReportServer;
  readonly #address: string;
  readonly #onChange: () => void;
  #ready = true;
  #listener: AsyncDisposable | undefined;

  constructor(server: ReportServer, address: string, onChange: () => void) {
    this.#server = server;
    this.#address = address;
    this.#onChange = onChange;
  }

  setReady(ready: boolean): void {
    this.#ready = ready;
    this.#onChange();
  }

  async start(files: PodFiles): Promise<void> {
    await this.refresh(files);
    this.#listener = await this.#server.open(this.#address, this);
  }

  /** Like a relay it refuses a configuration that names files which are not there, and keeps what it has. */
  async refresh(files: PodFiles): Promise<void> {
    const text = files.get('relay.json')?.toString('utf8') ?? '{}';
    const named = text.matchAll(new RegExp(`"${filesFolder}/([^"/]+)"`, 'g'));
    if ([...named].some(([, name = '']) => !files.has(name))) return;
    const { revision } = JSON.parse(text) as { readonly revision?: string };
    this.revision = revision ?? this.revision;
  }

  async isReady(): Promise<boolean> {
    return this.#ready && this.revision !== undefined;
  }

  answer(url: string, response: ServerResponse): void {
    if (!this.isReachable) response.destroy();
    else if (url === '/metrics') response.end(this.#metrics());
    else response.writeHead(url === '/healthz' || this.#ready ? 200 : 503).end();
  }

  #metrics(): string {
    const states = Object.entries(this.queued).map(
      ([state, count]) => `postroad_queue_recipients{state="${state}"} ${count}\n`,
    );
    return [
      `postroad_config_revision_info{revision="${this.revision}"} 1\n`,
      ...states,
      `postroad_accept_sessions_open{listener="smtp"} ${this.openSessions}\n`,
      `postroad_schedule_deliveries_running ${this.deliveries}\n`,
      ...this.storeTroubles.map(reason => `postroad_queue_store_trouble{reason="${reason}"} 1\n`),
    ].join('');
  }

  async stop(): Promise<End | undefined> {
    if (this.#listener === undefined) return undefined;
    await this.kill();
    if (!this.hasLastWord) return { exitCode: 137, message: '' };
    this.queued.Waiting += this.takenAtLast;
    const recipients = Object.values(this.queued).reduce((sum, count) => sum + count, 0);
    const word = recipients === 0 ? { queue: 'Empty' } : { queue: 'Holds', recipients };
    return { exitCode: 0, message: JSON.stringify(word) };
  }

  async kill(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    await listener?.[Symbol.asyncDispose]();
  }
}
