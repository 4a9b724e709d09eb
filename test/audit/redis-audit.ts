/**
 * The audit of the shared queue: three relays on one Redis. Relays are killed and stopped, Redis is killed (its master, where it has Sentinels;
 * slots move, where it is a Cluster), each again and again, and each comes back. Then every recipient is accounted for, as in audit.ts.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { RelayConfigInput } from '../../relay/config.ts';
import { startCountingSink, wellBehaved } from '../support/counting-sink.ts';
import {
  type MetricValues,
  queuedRecipients,
  type RelayProcess,
  relayConfig,
  startRelayProcess,
} from '../support/relay-process.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';
import { bookFaults, describeDuplicates, drain, misbehaviour } from './audit.ts';
import { type Load, startLoad } from './load.ts';
import { type RedisFaultKind, type RedisWorld, startRedisWorld, type Topology } from './redis-world.ts';
import { judge, type Kill, type Verdict } from './verdict.ts';

export const redisControls = ['ack-before-commit', 'no-fencing'] as const;
export type RedisControl = (typeof redisControls)[number];

export interface RedisAuditOptions {
  /** Left out: single. */
  readonly topology?: Topology;
  readonly messages: number;
  readonly faults: number;
  readonly seed: number;
  /** Most time to send for. */
  readonly seconds: number;
  /** Relays that do wrong on purpose: the audit must see it. */
  readonly control?: RedisControl;
  readonly say?: (line: string) => void;
}

export interface RedisAuditReport extends Verdict {
  readonly figures: readonly string[];
}

const relays = 3;
const sessionsPerRelay = 15;
const acceptLimitMs = 30_000;
/** On a machine that others keep busy. */
const readyLimitMs = 120_000;
/** Beyond the ten seconds after which a relay counts as dead, so that it wakes up as one that has lost its leases. */
const stopMs = { least: 1000, most: 16_000 };
/** So that each relay that wakes up has lost its leases. */
const stopMsWithoutFencing = { least: 11_500, most: 13_000 };
const entries = {
  'ack-before-commit': new URL('relay-with-early-ack.ts', import.meta.url).pathname,
  'no-fencing': new URL('relay-without-fencing.ts', import.meta.url).pathname,
} as const;

type FaultKind = 'relay killed' | 'relay stopped' | RedisFaultKind;

/** Who was away, and when. */
interface Fault extends Kill {
  readonly subject: RelayProcess | 'Redis';
}

interface RedisAway {
  readonly kind: RedisFaultKind;
  readonly downMs: number;
  readonly relaysMs: number;
}

interface Chaos {
  readonly kills: readonly Fault[];
  /** Of each time that Redis was killed: until it answered again, and from then until each relay that ran had said 250. */
  readonly redisAway: readonly RedisAway[];
  readonly counts: ReadonlyMap<FaultKind, number>;
}

export async function runRedisAudit(options: RedisAuditOptions): Promise<RedisAuditReport> {
  const { topology = 'single', messages, faults, seed, seconds, control, say = () => undefined } = options;
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const redis = stack.use(await startRedisWorld(topology, folder.path));
  const sink = stack.use(await startCountingSink({ behaviour: { seed, ...misbehaviour } }));
  const entry = { readyLimitMs, ...(control === undefined ? {} : { entry: entries[control] }) };
  const all: RelayProcess[] = [];
  for (let n = 0; n < relays; n += 1)
    all.push(stack.use(await startRelayProcess(configuration(n, sink.port, redis.queue), entry)));
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  const signal = AbortSignal.timeout(seconds * 1000);
  const loads = all.map((relay, n) =>
    startLoad({
      port: relay.port(),
      server: nameOf(n),
      messages: Math.ceil(messages / relays),
      sessions: sessionsPerRelay,
      random: seededRandom(seed + n),
      signal,
      first: n * messages,
    }),
  );
  const progress = (): number => Math.max(Math.min(...loads.map(load => load.progress())), elapsed() / seconds);
  const chaos = disturb({ all, loads, redis, faults, random: seededRandom(seed + 100), progress, control });
  const [disturbed] = await Promise.all([chaos, ...loads.map(load => load.done)]);
  const sentSeconds = elapsed();
  const sent = loads.flatMap(load => load.sent);
  say(`sent ${sent.length} messages in ${sentSeconds.toFixed(1)} s`);
  await sink.behave({ ...wellBehaved, seed, refuse: misbehaviour.refuse });
  const [reader] = all;
  if (reader === undefined) throw new Error('no relay');
  const metrics = await drain(() => metricsOf(reader), say);
  const drainedSeconds = elapsed();
  const record = await sink.record();
  const queued = queuedRecipients(metrics);
  const verdict = judge({ sent, receptions: record.receptions, kills: disturbed.kills, queued });
  for (const relay of all.slice(1)) await metricsOf(relay);
  const left = (await redis.keysThatStay()).filter(key => !/:(meta|owners)$/.test(key));
  const figures = [
    `sent ${sent.length} messages to ${relays} relays in ${sentSeconds.toFixed(1)} s, seed ${seed}; drained at ${drainedSeconds.toFixed(1)} s`,
    `recipients: acknowledged ${verdict.accepted}, delivered ${verdict.delivered}, bounced ${verdict.bounced}, queued ${queued}, lost ${verdict.lost.length}`,
    `messages without a 250: refused ${verdict.refused}, unknown ${verdict.unknown}, cut before the final dot ${verdict.unsent}; arrived after a 451 in doubt: ${verdict.doubtful}`,
    `faults: ${[...disturbed.counts].map(([kind, count]) => `${kind} ${count}`).join(', ')}`,
    `longest a session could not send: ${longestOutages(all, loads, disturbed.kills)}`,
    `Redis away, then until each relay said 250: ${disturbed.redisAway.map(({ kind, downMs, relaysMs }) => `${kind} ${downMs} + ${relaysMs} ms`).join(', ') || 'never'}`,
    `duplicates ${verdict.duplicates.length}: ${describeDuplicates(verdict)}`,
    `keys left in Redis but for the books: ${left.join(' ') || 'none'}`,
  ];
  const books = bookFaults(metrics, verdict, disturbed.kills.length >= faults);
  return {
    ...verdict,
    figures,
    faults: [...verdict.faults, ...books, ...(left.length > 0 ? [`left in Redis: ${left.join(' ')}`] : [])],
  };
}

/** Its queue's part of them fails while Redis is away, and for a moment after it is back. */
function metricsOf(relay: RelayProcess): Promise<MetricValues> {
  return waitUntil(
    'the relay has its metrics',
    async () => {
      try {
        return await relay.metrics();
      } catch (error) {
        if (!(error instanceof assert.AssertionError)) throw error;
        return undefined;
      }
    },
    { limitMs: readyLimitMs, everyMs: 200 },
  );
}

/** By its hostname the next hop knows it. */
const nameOf = (number: number): string => `relay-${number}.test`;

function configuration(number: number, sinkPort: number, queue: RelayConfigInput['queue']): RelayConfigInput {
  return relayConfig({
    hostname: nameOf(number),
    route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: sinkPort, tls: 'Disabled' } },
    retry: { initialDelaySeconds: 1, maxDelaySeconds: 2, messageLifetimeSeconds: 86_400, delayWarningSeconds: 80_000 },
    queue,
  });
}

interface ChaosOptions {
  readonly all: readonly RelayProcess[];
  readonly loads: readonly Load[];
  readonly redis: RedisWorld;
  readonly faults: number;
  readonly random: () => number;
  readonly progress: () => number;
  readonly control: RedisControl | undefined;
}

/** One fault after the other, and each is mended before the next of its kind. */
async function disturb({ all, loads, redis, faults, random, progress, control }: ChaosOptions): Promise<Chaos> {
  const instants = Array.from({ length: faults }, random).sort((one, other) => one - other);
  const kills: Fault[] = [];
  const redisAway: RedisAway[] = [];
  const counts = new Map<FaultKind, number>();
  const mending: Promise<void>[] = [];
  const busy = new Set<unknown>();
  const stopFor = control === 'no-fencing' ? stopMsWithoutFencing : stopMs;

  function note(kind: FaultKind, subject: Fault['subject'], fromMs: number): void {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const toMs = Date.now();
    if (subject === 'Redis') kills.push({ fromMs, toMs, subject, kind: 'StoreAway' });
    else {
      const client = nameOf(all.indexOf(subject));
      kills.push({ fromMs, toMs, subject, client, kind: kind === 'relay stopped' ? 'Stopped' : 'Killed' });
    }
  }

  async function killRelay(relay: RelayProcess): Promise<void> {
    const fromMs = Date.now();
    await relay.kill();
    note('relay killed', relay, fromMs);
    await relay.start();
  }

  async function stopRelay(relay: RelayProcess): Promise<void> {
    const fromMs = Date.now();
    process.kill(relay.pid, 'SIGSTOP');
    await delay(stopFor.least + random() * (stopFor.most - stopFor.least));
    process.kill(relay.pid, 'SIGCONT');
    note('relay stopped', relay, fromMs);
  }

  async function strikeRedis(): Promise<void> {
    const fromMs = Date.now();
    let recovering: Promise<void> | undefined;
    await redis.strike(random, kind => {
      note(kind, 'Redis', fromMs);
      recovering = untilBack(kind, fromMs);
    });
    await recovering;
  }

  async function untilBack(kind: RedisFaultKind, fromMs: number): Promise<void> {
    const backMs = Date.now();
    redisAway.push({ kind, downMs: backMs - fromMs, relaysMs: await untilAllAccept(backMs) });
  }

  /** Relays that are killed or stopped meanwhile, or have no more to take, are not waited for. */
  async function untilAllAccept(backMs: number): Promise<number> {
    const since = (at: number): number => (loads[at]?.lastAcceptedMs() ?? 0) - backMs;
    const waitsFor = (relay: RelayProcess, at: number): boolean => !busy.has(relay) && since(at) <= 0 && progress() < 1;
    while (all.some(waitsFor) && Date.now() - backMs < acceptLimitMs) await delay(5);
    return Date.now() - backMs;
  }

  function begin(subject: unknown, fault: () => Promise<void>): void {
    busy.add(subject);
    mending.push(fault().finally(() => busy.delete(subject)));
  }

  for (const instant of instants) {
    while (progress() < instant) await delay(5);
    const relay = all[Math.floor(random() * all.length)];
    // Without fencing only who wakes up does harm.
    const which = control === 'no-fencing' ? 1 : random();
    const subject = which < 0.2 ? redis : relay;
    while (busy.has(subject)) await delay(20);
    if (subject === redis) begin(redis, strikeRedis);
    else if (relay !== undefined) begin(relay, () => (which < 0.6 ? killRelay(relay) : stopRelay(relay)));
  }
  await Promise.all(mending);
  return { kills, counts, redisAway };
}

/** By whether its own relay was killed or stopped meanwhile, or only Redis was, or nobody. */
function longestOutages(all: readonly RelayProcess[], loads: readonly Load[], faults: readonly Fault[]): string {
  const longest = { 'its relay killed or stopped': 0, 'only Redis killed': 0, neither: 0 };
  for (const [at, { outages }] of loads.entries()) {
    for (const { fromMs, toMs } of outages) {
      const during = faults.filter(fault => fault.fromMs <= toMs && fault.toMs >= fromMs);
      const own = during.some(({ subject }) => subject === all[at]);
      const redis = during.some(({ subject }) => subject === 'Redis');
      const why = own ? 'its relay killed or stopped' : redis ? 'only Redis killed' : 'neither';
      longest[why] = Math.max(longest[why], toMs - fromMs);
    }
  }
  return Object.entries(longest)
    .map(([why, ms]) => `${why} ${ms.toFixed(0)} ms`)
    .join(', ');
}
