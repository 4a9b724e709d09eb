/**
 * Sends while the relay is killed again and again and its next hop misbehaves, then proves for each recipient what became of it:
 * every 250 was delivered, bounced or is still queued (G1, G3), and every duplicate has a cause that G2 names.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { startCountingSink, wellBehaved } from '../support/counting-sink.ts';
import {
  assertConservation,
  type MetricValues,
  metric,
  queuedRecipients,
  relayConfig,
  startRelayProcess,
} from '../support/relay-process.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { killRepeatedly } from './killer.ts';
import { startLoad } from './load.ts';
import { judge, type Verdict } from './verdict.ts';

export interface AuditOptions {
  readonly messages: number;
  readonly kills: number;
  readonly seed: number;
  /** Time to send for; longer only where the machine is too slow for all kills in it. */
  readonly seconds: number;
  /** A relay that does wrong on purpose: the audit must see it. */
  readonly control?: 'ack-before-commit';
  readonly say?: (line: string) => void;
}

export interface AuditReport extends Verdict {
  readonly figures: readonly string[];
}

const sessions = 40;
/** What the next hop does besides taking mail. */
export const misbehaviour = { defer: 0.1, refuse: 0.01, dropBefore: 0.001, dropAfter: 0.001 };
const drainLimitMs = 180_000;
const longestFactor = 4;
/** Longer than a lease of a dead relay and the longest retry together, many times. */
const standstillMs = 60_000;
const earlyAck = new URL('relay-with-early-ack.ts', import.meta.url).pathname;

export async function runAudit(options: AuditOptions): Promise<AuditReport> {
  const { messages, kills, seed, seconds, control, say = () => undefined } = options;
  const behaviour = { seed, ...misbehaviour };
  await using sink = await startCountingSink({ behaviour });
  const smartHost = { host: '127.0.0.1', port: sink.port, tls: 'Disabled' as const };
  await using relay = await startRelayProcess(
    relayConfig({
      route: { type: 'SmartHost', smartHost },
      retry: {
        initialDelaySeconds: 1,
        maxDelaySeconds: 2,
        messageLifetimeSeconds: 86_400,
        delayWarningSeconds: 80_000,
      },
    }),
    control === undefined ? {} : { entry: earlyAck },
  );
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  const enough = new AbortController();
  const signal = AbortSignal.any([enough.signal, AbortSignal.timeout(longestFactor * seconds * 1000)]);
  const load = startLoad({ port: relay.port(), messages, sessions, random: seededRandom(seed), signal });
  const killing = killRepeatedly({
    relay,
    kills,
    random: seededRandom(seed + 1),
    progress: () => Math.max(load.progress(), elapsed() / seconds),
    accepted: load.accepted,
    isOver: () => load.progress() >= 1 || signal.aborted,
  }).finally(async () => {
    await Promise.race([load.done, delay(Math.max(0, seconds - elapsed()) * 1000, undefined, { ref: false })]);
    enough.abort();
  });
  const [killed] = await Promise.all([killing, load.done]);
  const sentSeconds = elapsed();
  say(`sent ${load.sent.length} messages in ${sentSeconds.toFixed(1)} s, ${killed.kills.length} kills`);
  // Refusals stay, so that a recipient has one fate.
  await sink.behave({ ...wellBehaved, seed, refuse: misbehaviour.refuse });
  const metrics = await drain(() => relay.metrics(), say);
  const record = await sink.record();
  const verdict = judge({
    sent: load.sent,
    receptions: record.receptions,
    kills: killed.kills,
    queued: queuedRecipients(metrics),
  });
  const { counts } = record;
  const figures = [
    `sent ${load.sent.length} messages in ${sentSeconds.toFixed(1)} s with ${sessions} sessions, seed ${seed}; drained at ${elapsed().toFixed(1)} s`,
    `recipients: acknowledged ${verdict.accepted}, delivered ${verdict.delivered}, bounced ${verdict.bounced}, queued ${queuedRecipients(metrics)}, lost ${verdict.lost.length}`,
    `messages without a 250: refused ${verdict.refused}, unknown ${verdict.unknown}, cut before the final dot ${verdict.unsent}`,
    `next hop: deferred ${counts.deferred}, refused ${counts.refused}, cut off before its 250 ${counts.droppedBefore}, in place of it ${counts.droppedAfter}, connections ${counts.connections}`,
    `duplicates ${verdict.duplicates.length}: ${describeDuplicates(verdict)}`,
    `kills ${killed.kills.length}; slowest start ${killed.slowestStartMs.toFixed(0)} ms; longest a session could not send ${load.longestOutageMs().toFixed(0)} ms`,
  ];
  return {
    ...verdict,
    figures,
    faults: [...verdict.faults, ...bookFaults(metrics, verdict, killed.kills.length >= kills)],
  };
}

export function describeDuplicates({ duplicates }: Verdict): string {
  const byReason = Map.groupBy(duplicates, ({ reason }) => reason);
  const parts = [...byReason].map(([reason, of]) => `${reason} ${of.length}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

/** The relay's own books must agree with what arrived. */
export function bookFaults(metrics: MetricValues, { distinct, accepted }: Verdict, killedEnough: boolean): string[] {
  const faults = killedEnough ? [] : ['the load was over before every kill'];
  try {
    assertConservation(metrics);
  } catch (error) {
    if (!(error instanceof assert.AssertionError)) throw error;
    faults.push(`conservation: ${error.message}`);
  }
  const delivered = metric(metrics, 'postroad_queue_delivered_recipients_total');
  const queued = queuedRecipients(metrics);
  if (queued === 0 && delivered !== distinct) {
    faults.push(`the relay counts ${delivered} recipients delivered, and ${distinct} arrived`);
  }
  const acceptedTotal = metric(metrics, 'postroad_queue_accepted_recipients_total');
  if (acceptedTotal < accepted)
    faults.push(`the relay counts ${acceptedTotal} recipients accepted, its clients ${accepted}`);
  return faults;
}

/** Until nothing is queued, or nothing has left the queue for long: of relays whose books are wrong something seems to be left for ever. */
export async function drain(read: () => Promise<MetricValues>, say: (line: string) => void): Promise<MetricValues> {
  const deadline = performance.now() + drainLimitMs;
  let last: { left: number; sinceMs: number } | undefined;
  for (let asked = 0; ; asked++) {
    const metrics = await read();
    const left = queuedRecipients(metrics);
    const nowMs = performance.now();
    if (last?.left !== left) last = { left, sinceMs: nowMs };
    // Books that are wrong may even say that less than nothing is left.
    if (left <= 0 || nowMs > deadline || nowMs - last.sinceMs > standstillMs) return metrics;
    if (asked % 25 === 0) say(`draining: ${left} recipients queued`);
    await delay(200);
  }
}
