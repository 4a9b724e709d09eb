/** What became of a load: said, and judged. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { shortestOutageMs } from '../audit/load.ts';
import type { Verdict } from '../audit/verdict.ts';

export interface Outcome extends Verdict {
  readonly sent: number;
  /** Messages accepted, over the seconds in which any was. */
  readonly perSecond: number;
  /** What the clients tried. */
  readonly rate: number;
  readonly longestOutageMs: number;
}

/** Clients at once. */
export const sessions = 40;
/** What must be reached of the rate while clients can send. */
const leastShare = 0.8;
/** What journeys under load are meant to show, and mostly do. Each says its rate, and what a busy neighbour made of it. */
export const meantRate = 200;
/** Below it a journey has shown too little; for a machine that others use as well, it can be lowered. */
const leastRate = Number(process.env['POSTROAD_TEST_LEAST_RATE'] ?? 0.5 * meantRate);

/** Prints the figures, and asserts that nothing was lost or came twice without a reason, at a load worth the name. */
export function assertNothingLost(t: TestContext, outcome: Outcome): void {
  t.diagnostic(describe(outcome));
  assert.deepEqual(outcome.faults, []);
  assert.deepEqual(outcome.lost, []);
  assertRate(t, outcome);
}

/** How much was got through, of what was tried: says when it was less than is meant, and fails when it shows too little. */
export function assertRate(t: TestContext, { perSecond, rate }: Pick<Outcome, 'perSecond' | 'rate'>): void {
  const hoped = Math.min(meantRate, rate * leastShare);
  if (rate >= meantRate && perSecond < hoped)
    t.diagnostic(`BELOW ${hoped} messages a second: the machine had no more to give`);
  assert.ok(perSecond >= Math.min(leastRate, hoped), `${perSecond.toFixed(0)} messages a second`);
}

export function outageText(longestMs: number): string {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const told = longestMs < shortestOutageMs ? `less than ${seconds(shortestOutageMs)}` : seconds(longestMs);
  return `longest a client could not send ${told}`;
}

function describe(outcome: Outcome): string {
  const { sent, perSecond, accepted, delivered, bounced, refused, unknown, unsent, lost, duplicates } = outcome;
  const reasons = [...Map.groupBy(duplicates, ({ reason }) => reason)].map(([reason, of]) => `${reason} ${of.length}`);
  return [
    `sent ${sent} messages, ${perSecond.toFixed(0)} accepted a second while any was, over ${sessions} sessions`,
    `recipients acknowledged ${accepted}, delivered ${delivered}, bounced ${bounced}, lost ${lost.length}`,
    `duplicated ${duplicates.length}${reasons.length === 0 ? '' : ` (${reasons.join(', ')})`}`,
    `messages refused ${refused}, cut off ${unsent}, of unknown fate ${unknown}`,
    outageText(outcome.longestOutageMs),
  ].join('; ');
}
