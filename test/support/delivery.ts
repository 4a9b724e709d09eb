/** Schedule and deliver over a real queue, with a zone and peers that a journey scripts; what accept would do is `submit`. */

import { type Clock, systemClock } from '../../relay/clock.ts';
import type { RelayConfigInput } from '../../relay/config.ts';
import { createCapture } from '../../relay/deliver/capture.ts';
import { destinationOf } from '../../relay/destination.ts';
import { createLog } from '../../relay/log.ts';
import { createMetrics, type Metrics } from '../../relay/metrics.ts';
import { createPolicySnapshot } from '../../relay/policy/snapshot.ts';
import { createQueueId } from '../../relay/queue/id.ts';
import type { Content, NewMessage, NewRecipient, Queue, QueueEntry, QueueStats } from '../../relay/queue/queue.ts';
import { MemoryContent } from '../../relay/queue/sqlite/content.ts';
import { openVolumeQueue } from '../../relay/queue/sqlite/store.ts';
import { createScheduler, type Scheduler } from '../../relay/schedule/scheduler.ts';
import { createScrape } from '../../relay/scrape.ts';
import type { Secrets } from '../../relay/secrets.ts';
import { createSigner } from '../../relay/sign/signer.ts';
import { parsePath } from '../../relay/smtp/path.ts';
import type { RelayState } from '../../relay/state.ts';
import { buildConfig } from './policy-builders.ts';
import { assertConservation, metric, parseMetrics } from './relay-process.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { waitUntil } from './wait-until.ts';

export interface DeliveryOptions {
  readonly config: Partial<RelayConfigInput>;
  readonly secrets?: Partial<Secrets>;
  readonly clock?: Clock;
  readonly wrapQueue?: (queue: Queue) => Queue;
  readonly random?: () => number;
}

export interface TestMessage {
  readonly from?: string | null;
  readonly to: readonly (string | ({ readonly address: string } & Partial<NewRecipient>))[];
  readonly content?: string | Buffer;
  readonly head?: string;
  readonly sender?: Partial<NewMessage['sender']>;
  readonly policy?: string | null;
  readonly receivedTimeMs?: number;
  readonly expiryTimeMs?: number;
}

export interface Delivery extends AsyncDisposable {
  readonly queue: Queue;
  readonly scheduler: Scheduler;
  readonly metrics: Metrics;
  readonly folder: string;
  readonly captureDir: string;
  /** As a reload does. */
  setState(change: Partial<RelayConfigInput>, secrets?: Partial<Secrets>): void;
  /** Born leased where the scheduler has room, as accept does; returns the id. */
  submit(message: TestMessage): Promise<string>;
  /** Into the queue only: the scheduler finds it by itself. */
  enqueue(message: TestMessage): Promise<string>;
  entries(): Promise<readonly QueueEntry[]>;
  /** Waits for these totals, and checks by the metrics, read as Prometheus reads them, that nothing is unaccounted for (G3). */
  settled(expected: Partial<QueueStats['totals']> & { readonly depth?: number }): Promise<QueueStats>;
  /** A metric without labels, as Prometheus reads it. */
  scraped(name: string): Promise<number>;
  /** Attempts counted so far, by `outcome reason`. */
  attempts(): Promise<Record<string, number>>;
  /** The same, once there is at least one. */
  attempted(): Promise<Record<string, number>>;
}

const inlineBytes = 256 * 1024;
const body = 'Subject: hello\r\n\r\nHello.\r\n';

export async function startDelivery(options: DeliveryOptions): Promise<Delivery> {
  const folder = await temporaryFolder();
  const clock = options.clock ?? systemClock;
  const log = createLog(process.env['POSTROAD_TEST_LOG'] ?? 'silent');
  const metrics = createMetrics();
  let state = stateOf(options.config, options.secrets);
  const store = await openVolumeQueue({ dataDir: folder.path, minFreeDiskBytes: () => 0, clock });
  const queue = options.wrapQueue?.(store) ?? store;
  const captureDir = `${folder.path}/captured`;
  const newId = () => createQueueId(clock.now());
  const scheduler = createScheduler({
    lanes: undefined,
    state: () => state,
    queue,
    capture: createCapture({ directory: captureDir }),
    newId,
    clock,
    log,
    metrics,
    signer: createSigner({ state: () => state, metrics, clock }),
    ...(options.random === undefined ? {} : { random: options.random }),
  });
  scheduler.start();

  /** Large ones go through the spool, as those that accept receives. */
  async function contentOf(bytes: Buffer): Promise<Content> {
    if (bytes.length <= inlineBytes) return new MemoryContent(bytes);
    const spool = queue.openSpool();
    await spool.write(bytes);
    return await spool.finish();
  }

  async function build(message: TestMessage): Promise<NewMessage> {
    const { config } = state;
    const content = await contentOf(Buffer.from(message.content ?? body));
    const { from = 'app@shop.example.com' } = message;
    const receivedTimeMs = message.receivedTimeMs ?? clock.now();
    const policy = config.policies.find(each => `${each.namespace}/${each.name}` === message.policy) ?? null;
    return {
      id: newId(),
      sender: {
        reversePath: from === null ? null : (parsePath(from, { smtputf8: true }) ?? null),
        body: '7BIT',
        smtputf8: false,
        requireTls: false,
        ...message.sender,
      },
      tenant: 'shop',
      policy: message.policy ?? null,
      receivedTimeMs,
      expiryTimeMs: message.expiryTimeMs ?? receivedTimeMs + config.retry.messageLifetimeSeconds * 1000,
      head: Buffer.from(message.head ?? 'Received: from app by relay\r\n'),
      content,
      recipients: message.to.map(recipient => {
        const { address, ...rest } = typeof recipient === 'string' ? { address: recipient } : recipient;
        const domain = parsePath(address, { smtputf8: true })?.domain ?? '';
        return {
          forwardPath: address,
          domain,
          destination: destinationOf(config, policy, domain),
          notify: [],
          ...rest,
        };
      }),
    };
  }

  async function attempts(): Promise<Record<string, number>> {
    const { values } = await metrics.postroad_deliver_attempts_total.get();
    return Object.fromEntries(
      values.filter(({ value }) => value > 0).map(({ labels, value }) => [`${labels.outcome} ${labels.reason}`, value]),
    );
  }

  async function scrapeOnce() {
    const scrape = createScrape({ queue, scheduler, metrics, clock, dataDir: folder.path });
    try {
      return parseMetrics((await scrape.read()).text);
    } finally {
      scrape.close();
    }
  }

  async function entries(): Promise<readonly QueueEntry[]> {
    return (await queue.list({}, { limit: 1000 })).items;
  }

  return {
    queue,
    scheduler,
    metrics,
    folder: folder.path,
    captureDir,
    entries,
    setState(change, secrets = options.secrets) {
      state = stateOf({ ...options.config, ...change }, secrets);
    },
    async submit(message) {
      const built = await build(message);
      const room = built.recipients.every(({ destination }) => scheduler.hasRoom(destination));
      scheduler.offer(await queue.enqueue(built, room ? { leaseMs: 60_000 } : undefined));
      return built.id;
    },
    async enqueue(message) {
      const built = await build(message);
      await queue.enqueue(built);
      return built.id;
    },
    async settled({ depth, ...totals }) {
      const stats = await waitUntil(`totals ${JSON.stringify({ ...totals, depth })}`, async () => {
        const now = await queue.stats();
        const sameTotals = Object.entries(totals).every(
          ([name, count]) => now.totals[name as keyof typeof totals] === count,
        );
        return sameTotals && (depth === undefined || depthOf(now) === depth) ? now : undefined;
      });
      assertConservation(await scrapeOnce());
      return stats;
    },
    scraped: async name => metric(await scrapeOnce(), name),
    attempts,
    attempted: async () =>
      await waitUntil('an attempt', async () => {
        const counted = await attempts();
        return Object.keys(counted).length > 0 ? counted : undefined;
      }),
    async [Symbol.asyncDispose]() {
      await scheduler.stop(0);
      await queue.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

function depthOf({ depth }: QueueStats): number {
  return depth.Waiting + depth.Leased + depth.Held;
}

function stateOf(config: Partial<RelayConfigInput>, secrets: Partial<Secrets> = {}): RelayState {
  const parsed = buildConfig(config);
  return {
    config: parsed,
    policies: createPolicySnapshot(parsed),
    secrets: {
      tls: undefined,
      users: new Map(),
      dkimKeys: new Map(),
      credentials: new Map(),
      trustAnchors: new Map(),
      redisCredentials: new Map(),
      ...secrets,
    },
  };
}
