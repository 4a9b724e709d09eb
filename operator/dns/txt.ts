/**
 * What the authoritative servers of a name say of its TXT records, each for itself: a resolver would answer from its cache, and for one of
 * them only.
 */
import { TimedCache, Turns } from './bounds.ts';
import { type DnsRecord, type Exchange, exchange as overNetwork, type Reply } from './exchange.ts';
import { type Ask, createResolver } from './resolver.ts';
import { isRoutable } from './routable.ts';
import { createZoneServers, type FindZoneServers, type ZoneServer } from './zone-servers.ts';

/** `Texts` and `Nothing` (no such name, or no such record) are definite; `Silent` is not. */
export type Said =
  | { readonly kind: 'Texts'; readonly texts: readonly string[] }
  | { readonly kind: 'Nothing' }
  | { readonly kind: 'Silent'; readonly why: string };

export interface TxtAnswer {
  /** In the order of their names. */
  readonly servers: readonly { readonly host: string; readonly said: Said }[];
  /** Why nobody could be asked. */
  readonly problem: string | undefined;
}

export interface TxtLookups {
  authoritative(name: string, signal: AbortSignal): Promise<TxtAnswer>;
  /** The SPF records of a name as a receiver sees them, through the resolver. */
  resolvedSpf(name: string, signal: AbortSignal): Promise<Said>;
}

export type DnsTargets = 'Routable' | 'Any';

export interface LookupOptions {
  /** `host:port` of resolvers; empty: the system's. */
  readonly nameservers: readonly string[];
  /** Which addresses the name servers of a domain may have (routable.ts). */
  readonly targets: DnsTargets;
  readonly now: () => number;
  readonly exchange?: Exchange;
}

/** Name servers of others answer on this port, and nowhere else (RFC 1035 s4.2). */
const port = 53;
/** RFC 1034 s3.6.2 wants no chains; some have a few. Both bounds together keep what one name may cause small. */
const mostAliases = 5;
const mostTargets = 2;
const atATime = 64;
/** Of one name: a zone may have 13 servers with four addresses each, and none of them answer. */
const mostOfOneName = 4;
/** Of resolvers, which are ours: nobody waits there behind somebody else's servers. */
const resolverAtATime = 256;
const mostResolved = 4096;
/** Four times what fits into an answer over UDP (RFC 7208 s3.4). What is longer is a mistake, or an attack on who keeps it. */
export const longestSpf = 2048;
const resolvedLifeMs = 300_000;

export function createTxtLookups(options: LookupOptions): TxtLookups {
  const { nameservers, targets, now, exchange = overNetwork } = options;
  const mayAsk = targets === 'Any' ? () => true : isRoutable;
  const turns = new Turns(atATime);
  const limited: Exchange = (server, question, options) => turns.run(() => exchange(server, question, options));
  const resolverTurns = new Turns(resolverAtATime);
  const ask = createResolver(nameservers, (...asked) => resolverTurns.run(() => exchange(...asked)));
  const findServers = createZoneServers(ask, now);
  const resolved = new TimedCache<Said>(mostResolved, now);
  return {
    authoritative(name, signal) {
      const own = new Turns(mostOfOneName);
      const inTurn: Exchange = (...asked) => own.run(() => limited(...asked));
      return lookUp(name, { findServers, mayAsk, exchange: inTurn, signal, aliasesLeft: mostAliases });
    },
    // Many domains include the same few providers.
    resolvedSpf: (name, signal) =>
      resolved.get(
        name,
        () => resolve(name, ask, signal),
        () => resolvedLifeMs,
      ),
  };
}

async function resolve(name: string, ask: Ask, signal: AbortSignal): Promise<Said> {
  const reply = await ask(name, 'TXT', signal);
  if (reply.kind === 'Silent') return reply;
  if (reply.code !== 'NOERROR' && reply.code !== 'NXDOMAIN') return { kind: 'Silent', why: reply.code };
  // Kept for thousands of names, and each may have 64 KiB of other texts.
  const texts = reply.answers.flatMap(record => (record.type === 'TXT' && isSpf(record.text) ? [record.text] : []));
  return texts.length === 0 ? { kind: 'Nothing' } : { kind: 'Texts', texts: texts.slice(0, 2) };
}

function isSpf(text: string): boolean {
  return text.length <= longestSpf && /^v=spf1( |$)/i.test(text);
}

interface Look {
  readonly findServers: FindZoneServers;
  readonly mayAsk: (address: string) => boolean;
  readonly exchange: Exchange;
  readonly signal: AbortSignal;
  readonly aliasesLeft: number;
}

async function lookUp(name: string, look: Look): Promise<TxtAnswer> {
  const found = await look.findServers(name, look.signal);
  if (found.kind === 'Unavailable') return { servers: [], problem: found.why };
  const heard = (await Promise.all(found.servers.map(server => hear(server, name, look)))).flat();
  // Who was delegated to and does not know the zone is asked by no resolver for long.
  const useful = heard.filter(({ said }) => said.kind !== 'Lame');
  if (useful.length === 0) return { servers: [], problem: `no server of ${found.zone} is authoritative for it` };
  const aliases = new Set(useful.flatMap(({ said }) => (said.kind === 'Alias' ? [said.of] : [])));
  if (aliases.size > 0 && look.aliasesLeft === 0)
    return { servers: [], problem: `more than ${mostAliases} aliases in a row` };
  const followed = [...aliases].slice(0, mostTargets);
  const further = { ...look, aliasesLeft: look.aliasesLeft - 1 };
  const answers = await Promise.all(followed.map(alias => lookUp(alias, further)));
  const own = useful.flatMap(({ host, said }) => (isSaid(said) ? [{ host, said }] : []));
  return [{ servers: own, problem: undefined }, ...answers].reduce(joined);
}

function isSaid(heard: Heard): heard is Said {
  return heard.kind !== 'Alias' && heard.kind !== 'Lame';
}

function joined(one: TxtAnswer, other: TxtAnswer): TxtAnswer {
  const servers = [...one.servers, ...other.servers];
  const distinct = new Map(servers.map(server => [JSON.stringify(server), server]));
  return {
    servers: [...distinct.values()].sort((left, right) =>
      left.host < right.host ? -1 : left.host > right.host ? 1 : 0,
    ),
    problem: one.problem ?? other.problem,
  };
}

type Heard = Said | { readonly kind: 'Lame' } | { readonly kind: 'Alias'; readonly of: string };

interface Hearing {
  readonly host: string;
  readonly said: Heard;
}

/** A host counts as silent only when none of its addresses answers: a cluster without IPv6 reaches half of them. */
async function hear({ host, addresses }: ZoneServer, name: string, look: Look): Promise<Hearing[]> {
  const { mayAsk, exchange, signal } = look;
  const asked = addresses.filter(mayAsk);
  if (asked.length === 0) {
    const why = addresses.length === 0 ? 'its address is not found' : 'its address is not one of a name server';
    return [{ host, said: { kind: 'Silent', why } }];
  }
  const heard = await Promise.all(
    asked.map(async address =>
      heardIn(await exchange({ address, port }, { name, type: 'TXT', recursive: false }, { signal }), name),
    ),
  );
  const definite = heard.filter(({ kind }) => kind !== 'Silent');
  const distinct = new Map((definite.length > 0 ? definite : heard).map(said => [JSON.stringify(said), said]));
  return [...distinct.values()].slice(0, definite.length > 0 ? heard.length : 1).map(said => ({ host, said }));
}

function heardIn(reply: Reply, name: string): Heard {
  if (reply.kind === 'Silent') return reply;
  if (reply.code === 'REFUSED' || reply.code === 'NOTAUTH') return { kind: 'Lame' };
  if (reply.code !== 'NOERROR' && reply.code !== 'NXDOMAIN') return { kind: 'Silent', why: reply.code };
  if (!reply.authoritative) return { kind: 'Lame' };
  const end = endOfAliases(name, reply.answers);
  const texts = reply.answers.flatMap(record => (record.type === 'TXT' && record.name === end ? [record.text] : []));
  if (texts.length > 0) return { kind: 'Texts', texts: texts.sort() };
  return end === name ? { kind: 'Nothing' } : { kind: 'Alias', of: end };
}

function endOfAliases(name: string, answers: readonly DnsRecord[]): string {
  let end = name;
  for (let step = 0; step < mostAliases; step++) {
    const alias = answers.find(record => record.type === 'CNAME' && record.name === end);
    if (alias?.type !== 'CNAME') return end;
    end = alias.value;
  }
  return end;
}
