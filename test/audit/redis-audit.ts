/**
 * The audit of the shared queue: three relays on one Redis. Relays are killed and stopped, Redis is killed (its master, where it has Sentinels;
 * slots move, where it is a Cluster), each again and again, and each comes back. Then every recipient is accounted for, as in audit.ts.
 */
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
import { startLoad } from './load.ts';
import { disturb, type RedisControl } from './redis-chaos.ts';
import { startRedisWorld, type Topology } from './redis-world.ts';
import { describeStalls } from './stalls.ts';
import { judge, type Verdict } from './verdict.ts';

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
/** On a machine that others keep busy. */
const readyLimitMs = 120_000;
/** A relay logs no content and no secret. */
const logLinesTold = 40;
const entries = {
  'ack-before-commit': new URL('relay-with-early-ack.ts', import.meta.url).pathname,
  'no-fencing': new URL('relay-without-fencing.ts', import.meta.url).pathname,
} as const;

export async function runRedisAudit(options: RedisAuditOptions): Promise<RedisAuditReport> {
  const { topology = 'single', messages, faults, seed, seconds, control, say = () => undefined } = options;
  await using stack = new AsyncDisposableStack();
  say(`${topology}, seed ${seed}${control === undefined ? '' : `, control ${control}`}`);
  const folder = stack.use(await temporaryFolder());
  const redis = stack.use(await startRedisWorld(topology, folder.path));
  const sink = stack.use(await startCountingSink({ behaviour: { seed, ...misbehaviour } }));
  const entry = { readyLimitMs, ...(control === undefined ? {} : { entry: entries[control] }) };
  const all: RelayProcess[] = [];
  for (let n = 0; n < relays; n += 1)
    all.push(stack.use(await startRelayProcess(configuration(n, sink.port, redis.queue), entry)));
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  const enough = new AbortController();
  const signal = AbortSignal.any([enough.signal, AbortSignal.timeout(seconds * 1000)]);
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
  const names = all.map((_, n) => nameOf(n));
  const random = seededRandom(seed + 100);
  const chaos = disturb({ all, names, loads, redis, faults, random, progress, control }).finally(() => {
    if (control !== undefined) enough.abort();
  });
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
  const unasked = redis
    .unaskedTakeovers()
    .map(times => ({ ...times, what: 'taken over by itself', kind: 'StoreAway' }) as const);
  const kills = [...disturbed.kills, ...unasked];
  const verdict = judge({ sent, receptions: record.receptions, kills, queued });
  for (const relay of all.slice(1)) await metricsOf(relay);
  const left = (await redis.keysThatStay()).filter(key => !/:(meta|owners)$/.test(key));
  const figures = [
    `sent ${sent.length} messages to ${relays} relays in ${sentSeconds.toFixed(1)} s, seed ${seed}; drained at ${drainedSeconds.toFixed(1)} s`,
    `recipients: acknowledged ${verdict.accepted}, delivered ${verdict.delivered}, bounced ${verdict.bounced}, queued ${queued}, lost ${verdict.lost.length}`,
    `messages without a 250: refused ${verdict.refused}, unknown ${verdict.unknown}, cut before the final dot ${verdict.unsent}; arrived after a 451 in doubt: ${verdict.doubtful}`,
    ...describeStalls({
      faults: kills,
      clients: loads.map(({ outages }, n) => ({ server: nameOf(n), outages })),
      sent,
      receptions: record.receptions,
    }),
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

/** Its queue's part of them fails while Redis is away, and for a moment after it is back. @throws Error with the end of the relay's log */
async function metricsOf(relay: RelayProcess): Promise<MetricValues> {
  let last: unknown;
  async function ask(): Promise<MetricValues | undefined> {
    if (!relay.running) throw new Error('it has ended');
    try {
      return await relay.metrics();
    } catch (error) {
      last = error;
      return undefined;
    }
  }
  try {
    return await waitUntil('it has its metrics', ask, { limitMs: readyLimitMs, everyMs: 200 });
  } catch (error) {
    const said = relay.log().split('\n').slice(-logLinesTold).join('\n');
    throw new Error(
      `the relay on port ${relay.port()}: ${String(error)}; last ${String(last)}. The end of its log:\n${said}`,
      {
        cause: last ?? error,
      },
    );
  }
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
