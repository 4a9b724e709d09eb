/** What an audit concludes from what the client, the next hop and the killer each wrote down. Pure. */
import type { Reception } from '../support/counting-sink.ts';
import type { SendResult } from '../support/raw-client.ts';

export interface SentMessage {
  readonly recipients: readonly string[];
  readonly result: SendResult;
  /** When that was known, and of which relay: it tells whether a refusal may have been in doubt. */
  readonly atMs?: number;
  /** From its first byte until then. */
  readonly tookMs?: number;
  readonly server?: string;
}

/** From the signal until the process was gone, or went on. */
export interface Kill {
  readonly fromMs: number;
  readonly toMs: number;
  /** The relay, by its EHLO, that was killed. Left out: whoever delivered was. */
  readonly client?: string;
  /** Left out: killed. `StoreAway`: what its settlements go to was. */
  readonly kind?: 'Killed' | 'Stopped' | 'StoreAway';
}

export interface AuditInput {
  readonly sent: readonly SentMessage[];
  readonly receptions: readonly Reception[];
  readonly kills: readonly Kill[];
  /** Recipients still queued at the end, by the relay's own metrics. */
  readonly queued: number;
}

export interface Verdict {
  readonly accepted: number;
  readonly refused: number;
  readonly unknown: number;
  readonly unsent: number;
  /** Recipients that arrived though the client was told 451: the relay did not know whether it was stored, and was killed or stopped before it could. */
  readonly doubtful: number;
  readonly delivered: number;
  readonly bounced: number;
  /** Accepted recipients of which nothing arrived, neither the message nor a DSN. */
  readonly lost: readonly string[];
  readonly duplicates: readonly Duplicate[];
  /** Recipients counted once however often they arrived, DSNs included: what the relay must have settled as delivered. */
  readonly distinct: number;
  /** Everything that must not be; empty when the audit passes. */
  readonly faults: readonly string[];
}

export interface Duplicate {
  readonly what: string;
  /**
   * G2 leaves these: the next hop's 250 never reached us; we were killed, or our store was away, before it was settled; we were stopped while it
   * was under way, and another delivered it meanwhile.
   */
  readonly reason: 'ConnectionDropped' | 'Unexplained' | NonNullable<Kill['kind']>;
  /** Of something unexplained: each arrival, and what was killed around it. */
  readonly story?: string;
}

/**
 * A settlement takes milliseconds; on a loaded machine this much may pass between a 250 and its being durable. Where acceptances of the same relay
 * took longer about that time, so may a settlement, which waits for the same store in the same line.
 */
const settleWindowMs = 500;
const longestSettleMs = 5000;
const aboutThatTimeMs = 5000;
/** Clocks of two processes are read at slightly different moments. */
const slackMs = 5;
const toldMs = 20_000;
/** How long a relay asks its store before it says 451, twice. */
const doubtMs = 10_000;
const listed = 10;

export function judge({ sent, receptions, kills, queued }: AuditInput): Verdict {
  const arrivals = Map.groupBy(receptions, keyOf);
  const bounces = countBounces(arrivals);
  const of = (outcome: SendResult['outcome']): SentMessage[] => sent.filter(({ result }) => result.outcome === outcome);
  const accepted = of('accepted').flatMap(({ recipients, result }) => {
    const refused = new Set(result.outcome === 'accepted' ? result.refused : []);
    return recipients.filter(recipient => !refused.has(recipient));
  });
  const missing = accepted.filter(recipient => !arrivals.has(recipient) && !bounces.has(recipient));
  // What is still queued has not been lost; the metrics say how many, not which.
  const lost = missing.length > queued ? missing : [];
  const duplicates = [...arrivals].flatMap(([what, times]) => explain(what, times, { sent, kills }));
  const doubted = of('refused').filter(message => isDoubtful(message, arrivals, kills));
  const denied = [...of('refused').filter(message => !doubted.includes(message)), ...of('unsent')].flatMap(
    ({ recipients }) => recipients,
  );
  const faults = [
    ...fault('accepted, and neither delivered nor bounced', lost),
    ...fault(
      'arrived twice without a cause that G2 names',
      duplicates.filter(({ reason }) => reason === 'Unexplained').map(({ what }) => what),
    ),
    ...fault(
      'bounced more than once',
      [...bounces].filter(([, count]) => count > 1).map(([recipient]) => recipient),
    ),
    ...fault(
      'bounced though delivered',
      [...bounces.keys()].filter(recipient => arrivals.has(recipient)),
    ),
    ...fault(
      'delivered or bounced though the client was refused',
      denied.filter(recipient => arrivals.has(recipient) || bounces.has(recipient)),
    ),
  ];
  return {
    accepted: accepted.length,
    refused: of('refused').length,
    unknown: of('unknown').length,
    unsent: of('unsent').length,
    doubtful: doubted.flatMap(({ recipients }) => recipients).filter(recipient => arrivals.has(recipient)).length,
    delivered: accepted.filter(recipient => arrivals.has(recipient)).length,
    bounced: accepted.filter(recipient => bounces.has(recipient)).length,
    lost,
    duplicates,
    distinct: arrivals.size,
    faults,
  };
}

/** A DSN is known by whom it gave up on: its own recipient gets one for each. */
function keyOf({ recipient, failed }: Reception): string {
  return failed === undefined ? recipient : `DSN for ${[...failed].sort().join(' ')}`;
}

function countBounces(arrivals: ReadonlyMap<string, readonly Reception[]>): Map<string, number> {
  const bounces = new Map<string, number>();
  for (const [first] of arrivals.values()) {
    for (const recipient of first?.failed ?? []) bounces.set(recipient, (bounces.get(recipient) ?? 0) + 1);
  }
  return bounces;
}

interface About {
  readonly sent: readonly SentMessage[];
  readonly kills: readonly Kill[];
}

/** Each arrival but the last must have a reason why the relay could not know of it, or the other one why it could not know of that. */
function explain(what: string, arrivals: readonly Reception[], about: About): Duplicate[] {
  const known = [...arrivals].sort((a, b) => a.timeMs - b.timeMs);
  return known.slice(0, -1).map((arrival, at) => {
    const reason = reasonOf(arrival, known.slice(at + 1), about);
    return reason === 'Unexplained' ? { what, reason, story: storyOf(known, about.kills) } : { what, reason };
  });
}

function reasonOf(arrival: Reception, later: readonly Reception[], { sent, kills }: About): Duplicate['reason'] {
  if (arrival.dropped) return 'ConnectionDropped';
  const unsettled = kills.find(kill => strikes(kill, arrival, settleWindowOf(arrival, sent)));
  if (unsettled !== undefined) return unsettled.kind ?? 'Killed';
  const overtaken = later.some(other => kills.some(kill => kill.kind === 'Stopped' && strikes(kill, other, 0)));
  return overtaken ? 'Stopped' : 'Unexplained';
}

function settleWindowOf({ client, timeMs }: Reception, sent: readonly SentMessage[]): number {
  const near = sent.filter(
    ({ server, atMs, result }) =>
      result.outcome === 'accepted' && server === client && Math.abs((atMs ?? 0) - timeMs) < aboutThatTimeMs,
  );
  const longest = near.reduce((most, { tookMs = 0 }) => Math.max(most, tookMs), 0);
  return Math.min(longestSettleMs, Math.max(settleWindowMs, 2 * longest));
}

/** Its client was killed or stopped while that was under way, or so soon after it that it may not have been settled. */
function strikes({ fromMs, toMs, client }: Kill, arrival: Reception, windowMs: number): boolean {
  if (client !== undefined && client !== arrival.client) return false;
  // On a busy machine the next hop reads late what was sent before the kill: that belongs to a transaction that began before it.
  return arrival.begunMs <= toMs + slackMs && fromMs <= arrival.timeMs + windowMs;
}

function storyOf(arrivals: readonly Reception[], kills: readonly Kill[]): string {
  const [first, last] = [arrivals[0], arrivals.at(-1)];
  if (first === undefined || last === undefined) return '';
  const since = (timeMs: number): string => `${timeMs - first.timeMs} ms`;
  const near = kills.filter(({ fromMs, toMs }) => toMs > first.timeMs - toldMs && fromMs < last.timeMs + toldMs);
  return [
    ...arrivals.map(({ client, begunMs, timeMs }) => `by ${client} from ${since(begunMs)} to ${since(timeMs)}`),
    ...near.map(
      ({ kind = 'Killed', client = '', fromMs, toMs }) => `${kind} ${client} ${since(fromMs)} to ${since(toMs)}`,
    ),
  ].join('; ');
}

/** Told 451 because the store did not answer, or the relay stood still; then the relay could not take it back, and others delivered it. */
function isDoubtful(
  { atMs, server, recipients, result }: SentMessage,
  arrivals: ReadonlyMap<string, readonly Reception[]>,
  kills: readonly Kill[],
): boolean {
  if (atMs === undefined || result.outcome !== 'refused' || !result.reply.startsWith('451')) return false;
  const untilMs = Math.max(atMs, ...recipients.flatMap(of => (arrivals.get(of) ?? []).map(({ timeMs }) => timeMs)));
  const between = (to: number) => (kill: Kill) => kill.fromMs <= to && kill.toMs >= atMs - doubtMs;
  const unanswered = kills.some(kill => kill.kind !== 'Killed' && between(atMs)(kill));
  return unanswered && kills.some(kill => kill.client === server && between(untilMs)(kill));
}

function fault(what: string, which: readonly string[]): string[] {
  if (which.length === 0) return [];
  const more = which.length > listed ? ` and ${which.length - listed} more` : '';
  return [`${which.length} recipients ${what}: ${which.slice(0, listed).join(', ')}${more}`];
}
