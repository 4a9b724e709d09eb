/** Which hosts take the mail of a domain, and in which order (RFC 5321 s5.1). */
import { deferred, failed, type Setback } from './outcome.ts';
import type { Lookup, MailResolver, MxRecord } from './resolver.ts';

export interface MailHost {
  /** Name to connect to and to verify; an address where the forward-path has an address literal. */
  readonly name: string;
  readonly preference: number;
}

export interface NextHop {
  /** Domains with the same hosts in the same order have the same key, and share a lane. */
  readonly key: string;
  /** Best preference first. */
  readonly hosts: readonly MailHost[];
}

export type NextHopResult = { readonly nextHop: NextHop } | { readonly setback: Setback };

/** Of a larger MX set the best are tried. */
const maxHosts = 16;

export async function findNextHop(resolver: MailResolver, domain: string, ownHostname: string): Promise<NextHopResult> {
  if (domain.startsWith('[')) return addressLiteral(domain);
  const found = await resolver.mx(domain);
  switch (found.type) {
    case 'Unavailable':
      return { setback: deferred('DnsUnavailable') };
    case 'NoSuchName':
      return { setback: failed('NoSuchDomain') };
    case 'NoSuchRecord':
      return await implicitMx(resolver, domain, ownHostname);
    case 'Found':
      return fromRecords(found, ownHostname);
  }
}

/** RFC 5321 s4.1.3. */
function addressLiteral(literal: string): NextHopResult {
  const address = literal.slice(1, -1).replace(/^IPv6:/i, '');
  return { nextHop: { key: literal.toLowerCase(), hosts: [{ name: address, preference: 0 }] } };
}

/** RFC 5321 s5.1: without an MX record the domain's own address is its mail host, with preference 0. */
async function implicitMx(resolver: MailResolver, domain: string, ownHostname: string): Promise<NextHopResult> {
  const found = await resolver.addresses(domain);
  if (found.type === 'Unavailable') return { setback: deferred('DnsUnavailable') };
  if (found.type === 'NoSuchName') return { setback: failed('NoSuchDomain') };
  if (found.type === 'NoSuchRecord') return { setback: failed('NoAddress') };
  return fromRecords({ type: 'Found', values: [{ exchange: domain, preference: 0 }] }, ownHostname);
}

function fromRecords(found: Extract<Lookup<MxRecord>, { type: 'Found' }>, ownHostname: string): NextHopResult {
  const usable = found.values.filter(({ exchange }) => exchange !== '' && exchange !== '.');
  // RFC 7505 s3: the one record `.`; beside others it is no name of a host.
  if (usable.length === 0) return { setback: failed('NullMx') };
  const sorted = dedupe(usable).sort((a, b) => a.preference - b.preference || (a.name < b.name ? -1 : 1));
  const ours = sorted.find(({ name }) => name === ownHostname.toLowerCase());
  // RFC 5321 s5.1: at our own preference and above, mail would come back to us.
  const hosts = ours === undefined ? sorted : sorted.filter(({ preference }) => preference < ours.preference);
  if (hosts.length === 0) return { setback: failed('RoutingLoop') };
  const best = hosts.slice(0, maxHosts);
  return { nextHop: { key: keyOf(best), hosts: best } };
}

/** A name listed twice counts with its better preference. */
function dedupe(records: readonly MxRecord[]): MailHost[] {
  const byName = new Map<string, MailHost>();
  for (const { exchange, preference } of records) {
    const known = byName.get(exchange);
    if (known === undefined || preference < known.preference) byName.set(exchange, { name: exchange, preference });
  }
  return [...byName.values()];
}

/** The order is what counts, not the numbers. */
function keyOf(hosts: readonly MailHost[]): string {
  const ranks = [...new Set(hosts.map(host => host.preference))];
  return hosts.map(host => `${ranks.indexOf(host.preference)}:${host.name}`).join(',');
}

/** Hosts to try: best preference first, at random among equals so that load spreads (RFC 5321 s5.1). */
export function inOrderOfTrial(hosts: readonly MailHost[], random: () => number): MailHost[] {
  return hosts
    .map(host => ({ host, draw: random() }))
    .sort((a, b) => a.host.preference - b.host.preference || a.draw - b.draw)
    .map(({ host }) => host);
}
