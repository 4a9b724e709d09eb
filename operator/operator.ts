/**
 * The operator, composed. Its life:
 *
 *   caches are read (bounded) ─► candidate ─► leader: a term ─► lease lost ─► candidate
 *   stop: the term ends, what is under way is abandoned ─► the lease is given back ─► caches, HTTP, connections
 *
 * A process that does not lead is ready as well: its caches are warm, and it takes over at once.
 */
import type { Clock } from '../relay/clock.ts';
import type { Log } from '../relay/log.ts';
import { createCaches } from './cluster/caches.ts';
import { startHttp } from './http.ts';
import { createClient } from './kube/client.ts';
import type { Connection } from './kube/connection.ts';
import { withDeadline } from './kube/deadline.ts';
import { createElector, type Leadership, LeaseLostError } from './kube/lease.ts';
import { createUptime, type Uptime } from './kube/uptime.ts';
import { createOperatorMetrics } from './metrics.ts';
import type { Options } from './options.ts';
import { setResourceCounts } from './scrape.ts';
import { type ControllerFactories, createTerm, type Term } from './term.ts';

export interface OperatorParts {
  readonly connection: Connection;
  readonly factories: ControllerFactories;
  readonly clock: Clock;
  /** The machine's, unless a test says otherwise. */
  readonly uptime?: Uptime;
  readonly random: () => number;
  readonly log: Log;
  /** Differs between replicas and between runs of one. */
  readonly identity: string;
  readonly version: string;
  /** How long the first lists may take. */
  readonly syncLimitMs?: number;
}

export interface Operator {
  readonly http: { readonly address: string; readonly port: number };
  readonly isLeading: boolean;
  /** Resolves when it has stopped; rejects when it could not go on. */
  readonly done: Promise<void>;
  /** Once `done` is settled, nothing of it is left. */
  stop(): void;
}

/** An API server that is away at our start may come back; a right that lacks does not come by itself, and a restart shows that it does. */
const defaultSyncLimitMs = 300_000;
/** Nothing that a reconciliation waits for is unbounded; one that takes this long never ends. */
const longestRunMs = 900_000;
const longestWriteMs = 15_000;

export async function startOperator(options: Options, parts: OperatorParts): Promise<Operator> {
  const { connection, clock, uptime = createUptime(), random, log, identity, version } = parts;
  const { lease } = options;
  const metrics = createOperatorMetrics();
  metrics.set('postroad_operator_build_info', { version }, 1);
  const common = { connection, clock, metrics, userAgent: `postroad-operator/${version}` };
  const readClient = createClient(common);
  // What a leader has sent must be over before the next one may begin (lease.ts).
  const writeLimitMs = Math.min(longestWriteMs, lease.durationMs - lease.renewDeadlineMs);
  const writeClient = createClient({ ...common, timeoutMs: writeLimitMs });
  // One request that hangs must leave time for another before the lease is lost.
  const leaseClient = createClient({ ...common, timeoutMs: lease.renewDeadlineMs / 2 });
  const { relayNamespaces } = options;
  const caches = createCaches({ client: readClient, clock, uptime, random, log, metrics, relayNamespaces });
  const elector = createElector({
    client: leaseClient,
    ...{ clock, random, log, metrics, identity },
    uptime,
    namespace: options.namespace,
    name: lease.name,
    timing: lease,
  });
  const stopping = new AbortController();
  const { signal } = stopping;
  let term: Term | undefined;

  const http = await startHttp(
    {
      log,
      health: () => ((term?.oldestRunMs ?? 0) > longestRunMs ? 'a reconciliation does not come to its end' : undefined),
      readiness() {
        if (signal.aborted) return 'stopping';
        return caches.isSynced ? undefined : `not read yet: ${caches.unsynced.join(', ')}`;
      },
      async metrics() {
        metrics.set('postroad_operator_synced', {}, caches.isSynced ? 1 : 0);
        setResourceCounts(metrics, caches.cluster);
        return { text: await metrics.registry.metrics(), contentType: metrics.registry.contentType };
      },
    },
    options.http,
  );

  async function lead({ signal: termSignal, assertHeld }: Leadership): Promise<void> {
    term = createTerm({
      ...{ caches, clock, random, log, metrics, identity },
      client: writeClient,
      factories: parts.factories,
      options: { desired: options.desired, nameservers: options.nameservers, dnsTargets: options.dnsTargets },
      workers: options.workers,
      signal: termSignal,
      assertMayWrite: assertHeld,
      assertHeld: isElected ? assertLeading : () => undefined,
    });
    try {
      await term.run();
    } finally {
      term = undefined;
    }
  }

  const isElected = lease.election === 'Enabled';
  function assertLeading(): void {
    if (!elector.isLeading) throw new LeaseLostError('the lease is not held any more');
  }

  async function leadAlone(): Promise<void> {
    metrics.set('postroad_operator_leader', {}, 1);
    await lead({ signal, assertHeld: () => signal.throwIfAborted() });
  }

  async function work(): Promise<void> {
    await syncWithin(parts.syncLimitMs ?? defaultSyncLimitMs);
    if (isElected) await elector.run(lead, signal);
    else await leadAlone();
  }

  async function syncWithin(limitMs: number): Promise<void> {
    const reason = (): Error =>
      new Error(`not read within ${Math.round(limitMs / 1000)} s: ${caches.unsynced.join(', ')}; the log says why`);
    await withDeadline({ clock, limitMs, signal, reason }, inTime => caches.whenSynced(inTime));
    log.info(
      { relays: [...caches.cluster.relays()].length, policies: [...caches.cluster.policies()].length },
      'synced',
    );
  }

  async function life(): Promise<void> {
    const reading = new AbortController();
    const read = caches.run(reading.signal).finally(() => stopping.abort(new Error('the caches have ended')));
    try {
      await work().catch((error: unknown) => {
        if (!signal.aborted || error !== signal.reason) throw error;
      });
    } finally {
      stopping.abort(new Error('the operator has ended'));
      reading.abort();
      await Promise.allSettled([read, http.close()]);
      for (const client of [readClient, writeClient, leaseClient]) client.close();
    }
    await read;
  }

  return {
    http,
    get isLeading() {
      return isElected ? elector.isLeading : term !== undefined;
    },
    done: life(),
    stop: () => stopping.abort(new Error('the operator is stopped')),
  };
}
