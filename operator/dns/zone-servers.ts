/** Who is authoritative for a name: its zone, the zone's name servers, and where these are. */
import { TimedCache } from './bounds.ts';
import type { DnsRecord } from './exchange.ts';
import type { Ask } from './resolver.ts';

export interface ZoneServer {
  /** As the zone's NS record says. */
  readonly host: string;
  readonly addresses: readonly string[];
}

export type ZoneServers =
  | {
      readonly kind: 'Found';
      readonly zone: string;
      readonly servers: readonly ZoneServer[];
      readonly ttlSeconds: number;
    }
  | { readonly kind: 'Unavailable'; readonly why: string };

export type FindZoneServers = (name: string, signal: AbortSignal) => Promise<ZoneServers>;

const mostServers = 13;
const mostAddresses = 4;
const mostCached = 20_000;
const shortestLifeMs = 30_000;
/** A zone that moves to other servers is followed within this. */
const longestLifeMs = 300_000;
/** Not long: what was a fault is asked again at the next look. */
const failedLifeMs = 5000;

export function createZoneServers(ask: Ask, now: () => number): FindZoneServers {
  const zones = new TimedCache<Zone>(mostCached, now);
  const servers = new TimedCache<ZoneServers>(mostCached, now);
  return async (name, signal) => {
    const zone = await zones.get(
      name,
      () => zoneOf(name, ask, signal),
      ({ zone: found }) => (found === undefined ? failedLifeMs : longestLifeMs),
    );
    const { zone: apex } = zone;
    if (apex === undefined) return { kind: 'Unavailable', why: zone.why };
    return await servers.get(apex, () => serversOf(apex, ask, signal), lifeMs);
  };
}

function lifeMs(found: ZoneServers): number {
  return found.kind === 'Unavailable'
    ? failedLifeMs
    : Math.min(longestLifeMs, Math.max(shortestLifeMs, found.ttlSeconds * 1000));
}

type Zone = { readonly zone: string } | { readonly zone: undefined; readonly why: string };

/** RFC 2308 s2: also an answer that says no names the zone by its SOA; a forwarder may leave it out, so that names above are asked, too. */
async function zoneOf(name: string, ask: Ask, signal: AbortSignal): Promise<Zone> {
  const labels = name.split('.');
  for (let first = 0; first < labels.length; first++) {
    const asked = labels.slice(first).join('.');
    const reply = await ask(asked, 'SOA', signal);
    if (reply.kind === 'Silent') return { zone: undefined, why: `no resolver answers: ${reply.why}` };
    if (reply.code !== 'NOERROR' && reply.code !== 'NXDOMAIN')
      return { zone: undefined, why: `the resolver says ${reply.code} for ${asked}` };
    // An alias is answered with the zone of what it stands for.
    if (reply.answers.some(record => record.type === 'CNAME')) continue;
    const soa = [...reply.answers, ...reply.authorities].find(record => record.type === 'SOA' && covers(record, asked));
    if (soa !== undefined) return { zone: soa.name };
  }
  return { zone: undefined, why: `no zone of ${name} is found` };
}

function covers({ name }: DnsRecord, asked: string): boolean {
  return asked === name || asked.endsWith(`.${name}`);
}

async function serversOf(zone: string, ask: Ask, signal: AbortSignal): Promise<ZoneServers> {
  const reply = await ask(zone, 'NS', signal);
  if (reply.kind === 'Silent') return { kind: 'Unavailable', why: `no resolver answers: ${reply.why}` };
  const records = reply.answers.flatMap(record => (record.type === 'NS' ? [record] : []));
  const hosts = [...new Set(records.map(({ value }) => value))].slice(0, mostServers);
  if (hosts.length === 0) return { kind: 'Unavailable', why: `zone ${zone} names no servers` };
  const servers = await Promise.all(
    hosts.map(async host => ({ host, addresses: await addressesOf(host, ask, signal) })),
  );
  return { kind: 'Found', zone, servers, ttlSeconds: Math.min(...records.map(({ ttlSeconds }) => ttlSeconds)) };
}

async function addressesOf(host: string, ask: Ask, signal: AbortSignal): Promise<string[]> {
  const replies = await Promise.all([ask(host, 'A', signal), ask(host, 'AAAA', signal)]);
  return replies
    .flatMap(reply => (reply.kind === 'Reply' ? reply.answers : []))
    .flatMap(record => (record.type === 'A' || record.type === 'AAAA' ? [record.value] : []))
    .slice(0, mostAddresses);
}
