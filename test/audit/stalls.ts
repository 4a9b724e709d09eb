/** What each fault of an audit held up, and for how long. Pure. */
import type { Reception } from '../support/counting-sink.ts';
import type { Outage } from './load.ts';
import type { Kill, SentMessage } from './verdict.ts';

export interface FaultSeen extends Pick<Kill, 'fromMs' | 'toMs' | 'client'> {
  readonly what: string;
}

/** Clients of one relay. */
export interface ClientsSeen {
  readonly server: string;
  /** Of half a second and more. */
  readonly outages: readonly Outage[];
}

export interface StallsInput {
  readonly faults: readonly FaultSeen[];
  readonly clients: readonly ClientsSeen[];
  readonly sent: readonly SentMessage[];
  readonly receptions: readonly Reception[];
}

/** A line for each kind of fault, and one for what happened beside all faults. */
export function describeStalls(input: StallsInput): string[] {
  const { faults, clients } = input;
  const kinds = Map.groupBy(faults, ({ what }) => what);
  const arrivals = firstArrivals(input.receptions);
  const lines = [...kinds].map(([what, its]) => {
    const stalls = its.map(fault => longest(outagesOf(fault, input)));
    const own = its[0]?.client === undefined ? 'clients' : 'its clients';
    const held = Math.max(...its.map(fault => heldUpMs(fault, input.sent, arrivals)));
    const mail = held > 0 ? `; of mail that a relay held then, the latest came ${seconds(held)} s after its 250` : '';
    return `${what} ${its.length}: longest that ${own} could not send after each, in s: ${stalls.map(seconds).join(' ')}${mail}`;
  });
  const others = clients.flatMap(({ server, outages }) =>
    outages.filter(outage => !faults.some(fault => concerns(fault, server) && overlap(fault, outage))),
  );
  return [
    ...lines,
    `longest that a client could not send while neither its relay nor Redis was away: ${seconds(longest(others))} s`,
  ];
}

/** Of what happened while its own relay was away Redis is not the cause. */
function outagesOf(fault: FaultSeen, { faults, clients }: StallsInput): Outage[] {
  const ownOf = (server: string) => faults.filter(({ client }) => client === server);
  return clients
    .filter(({ server }) => concerns(fault, server))
    .flatMap(({ server, outages }) => {
      const during = outages.filter(outage => overlap(fault, outage));
      return fault.client === server
        ? during
        : during.filter(outage => !ownOf(server).some(own => overlap(own, outage)));
    });
}

function concerns({ client }: FaultSeen, server: string): boolean {
  return client === undefined || client === server;
}

/** The longest from a 250 of the relay, said before it was away, to the first arrival after that; 0: nothing of the kind. */
function heldUpMs(
  { client, fromMs }: FaultSeen,
  sent: readonly SentMessage[],
  arrivals: ReadonlyMap<string, number>,
): number {
  if (client === undefined) return 0;
  let longestMs = 0;
  for (const { server, atMs = Number.POSITIVE_INFINITY, recipients, result } of sent) {
    if (server !== client || result.outcome !== 'accepted' || atMs > fromMs) continue;
    for (const recipient of recipients) {
      const arrivedMs = arrivals.get(recipient) ?? 0;
      if (arrivedMs > fromMs) longestMs = Math.max(longestMs, arrivedMs - atMs);
    }
  }
  return longestMs;
}

function firstArrivals(receptions: readonly Reception[]): Map<string, number> {
  const first = new Map<string, number>();
  for (const { recipient, timeMs, failed } of receptions)
    if (failed === undefined) first.set(recipient, Math.min(timeMs, first.get(recipient) ?? timeMs));
  return first;
}

const longest = (outages: readonly Outage[]): number =>
  outages.reduce((most, { fromMs, toMs }) => Math.max(most, toMs - fromMs), 0);

const overlap = (one: Outage, other: Outage): boolean => one.fromMs <= other.toMs && one.toMs >= other.fromMs;

function seconds(ms: number): string {
  return ms === 0 ? '<0.5' : (ms / 1000).toFixed(1);
}
