/**
 * One relay: config -> parts in path order -> start; stop in reverse.
 *
 *   accept -> policy -> sign -> enqueue | schedule -> deliver -> settle -> (bounce -> enqueue)
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createAcceptServer } from './accept/server.ts';
import { systemClock } from './clock.ts';
import { createCapture } from './deliver/capture.ts';
import { startHttp } from './http.ts';
import type { Log } from './log.ts';
import { createMetrics } from './metrics.ts';
import { rejectReasons } from './policy/decision.ts';
import { createQueueId } from './queue/id.ts';
import { meterQueue } from './queue/metered-queue.ts';
import { openQueue } from './queue/open-queue.ts';
import type { NewMessage, Queue } from './queue/queue.ts';
import { createReloader } from './reload.ts';
import { createScheduler } from './schedule/scheduler.ts';
import { createScrape } from './scrape.ts';
import { createSigner } from './sign/signer.ts';

export interface RelayOptions {
  readonly configFile: string;
  /** Queue, spool and captured messages; one process at a time. */
  readonly dataDir: string;
  readonly log: Log;
  /** The store broke in a way that only a new process mends. */
  readonly onFault: (cause: Error) => void;
  /** For the audits, which show that they would see a queue that acknowledges too early. */
  readonly wrapQueue?: (queue: Queue) => Queue;
}

export interface Address {
  readonly address: string;
  readonly port: number;
}

export interface Relay {
  readonly listeners: readonly ({ readonly name: string } & Address)[];
  readonly http: Address;
  reload(): Promise<void>;
  /**
   * Stops accepting, finishes what is in flight within `graceMs`, keeps the rest in the queue. Resolves to how many recipients these are;
   * undefined of a queue that others share.
   */
  stop(graceMs: number): Promise<number | undefined>;
}

/** How long a message born leased may take until another claim may have it; renewed while it is being delivered. */
const firstLeaseMs = 60_000;

export async function startRelay({ configFile, dataDir, log, onFault, wrapQueue }: RelayOptions): Promise<Relay> {
  const captureDir = join(dataDir, 'captured');
  await mkdir(captureDir, { recursive: true, mode: 0o700 });
  const metrics = createMetrics();
  for (const reason of Object.keys(rejectReasons)) metrics.postroad_accept_refusals_total.inc({ reason }, 0);
  const clock = systemClock;
  const onChange = (): void => {
    opened.reload();
    accept.reload();
  };
  const reloader = await createReloader({ configFile, log, metrics, onChange });
  const { state } = reloader;
  const minFreeDiskBytes = (): number => state().config.limits.minFreeDiskBytes;
  const opened = await openQueue({ state, dataDir, onFault, log, metrics });
  const queue = meterQueue(wrapQueue === undefined ? opened.queue : wrapQueue(opened.queue), metrics);
  const isOwnQueue = state().config.queue.type === 'Volume';
  const newId = (): string => createQueueId(clock.now());
  const signer = createSigner({ state, metrics });
  const capture = createCapture({ directory: captureDir, minFreeDiskBytes });
  const scheduler = createScheduler({ state, queue, lanes: opened.lanes, capture, newId, clock, log, metrics, signer });

  async function submit(message: NewMessage): Promise<void> {
    const destinations = new Set(message.recipients.map(recipient => recipient.destination));
    const room = [...destinations].every(destination => scheduler.hasRoom(destination));
    const claims = await queue.enqueue(message, room ? { leaseMs: firstLeaseMs } : undefined);
    // The client waits for its 250; that goes out first.
    setImmediate(() => scheduler.offer(claims));
  }

  const openSpool = (): ReturnType<Queue['openSpool']> => queue.openSpool();
  const accept = createAcceptServer({ state, openSpool, submit, signer, newId, clock, log, metrics });
  const scrape = createScrape({ queue, scheduler, metrics, clock, dataDir });
  let draining = false;
  const { bindAddress, bindPort, captured } = state().config.http;
  const http = await startHttp(
    { probe: () => queue.probe(), isDraining: () => draining, metrics: () => scrape.read(), captured: capture, log },
    { address: bindAddress, port: bindPort, captured },
  );
  scheduler.start();
  const listeners = await accept.listen();

  return {
    listeners,
    http: { address: http.address, port: http.port },
    reload: () => reloader.reload(),
    async stop(graceMs) {
      draining = true;
      const deadline = clock.now() + graceMs;
      await accept.stop(graceMs);
      await scheduler.stop(Math.max(0, deadline - clock.now()));
      await http.close();
      scrape.close();
      reloader.close();
      return await closed(queue, isOwnQueue);
    },
  };
}

async function closed(queue: Queue, isOwn: boolean): Promise<number | undefined> {
  // The last that it is asked: whatever comes after is refused, so that nothing is acknowledged that is not counted.
  const stats = isOwn ? queue.stats() : undefined;
  const [counted] = await Promise.all([stats, queue.close()]);
  return counted === undefined ? undefined : Object.values(counted.depth).reduce((sum, count) => sum + count, 0);
}
