/** What an audit concludes from what the client, the next hop and the killer each wrote down. Pure. */
import type { Reception } from '../support/counting-sink.ts';
import type { SendResult } from '../support/raw-client.ts';

export interface SentMessage {
  readonly recipients: readonly string[];
  readonly result: SendResult;
}

/** From the signal until the process was gone. */
export interface Kill {
  readonly fromMs: number;
  readonly toMs: number;
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
  /** G2 leaves two: the next hop's 250 never reached us, or we were killed before it was settled. */
  readonly reason: 'ConnectionDropped' | 'Killed' | 'Unexplained';
}

/** A settlement takes milliseconds; on a loaded machine this much may pass between a 250 and its being durable. */
const settleWindowMs = 500;
/** Clocks of two processes are read at slightly different moments. */
const slackMs = 5;
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
  const duplicates = [...arrivals].flatMap(([what, times]) => explain(what, times, kills));
  const denied = [...of('refused'), ...of('unsent')].flatMap(({ recipients }) => recipients);
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

/** Each arrival but the last must have a reason why the relay could not know of it. */
function explain(what: string, arrivals: readonly Reception[], kills: readonly Kill[]): Duplicate[] {
  const known = [...arrivals].sort((a, b) => a.timeMs - b.timeMs);
  return known.slice(0, -1).map(({ timeMs, dropped }) => {
    const killed = kills.some(({ fromMs, toMs }) => timeMs <= toMs + slackMs && fromMs <= timeMs + settleWindowMs);
    return { what, reason: dropped ? 'ConnectionDropped' : killed ? 'Killed' : 'Unexplained' };
  });
}

function fault(what: string, which: readonly string[]): string[] {
  if (which.length === 0) return [];
  const more = which.length > listed ? ` and ${which.length - listed} more` : '';
  return [`${which.length} recipients ${what}: ${which.slice(0, listed).join(', ')}${more}`];
}
