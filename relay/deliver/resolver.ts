/**
 * DNS for delivery: absolute names only, so that a pod's search domains never answer for the Internet, and every failure
 * sorted into "no such name", "no such record" and "ask again later". Answers are cached for bounded times.
 */

import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { TtlCache } from './ttl-cache.ts';

export interface MxRecord {
  readonly exchange: string;
  readonly preference: number;
}

/** `Found` holds at least one value. */
export type Lookup<Value> =
  | { readonly type: 'Found'; readonly values: readonly Value[] }
  | { readonly type: 'NoSuchName' | 'NoSuchRecord' }
  | { readonly type: 'Unavailable'; readonly code: string };

export interface MailResolver {
  mx(domain: string): Promise<Lookup<MxRecord>>;
  /** IPv6 and IPv4, alternating. */
  addresses(host: string): Promise<Lookup<string>>;
  /** Breaks off what is under way; nothing is asked any more. */
  cancel(): void;
}

export interface ResolverOptions {
  /** `host:port`; empty is the system's. Asked at each query, so that a reload reaches it. */
  readonly nameservers: () => readonly string[];
  readonly now: () => number;
  readonly timeoutMs?: number;
  readonly tries?: number;
}

const maxCachedNames = 20_000;
const minTtlMs = 30_000;
const maxTtlMs = 3_600_000;
/** Node does not tell the TTL of MX records. */
const mxTtlMs = 300_000;
const negativeTtlMs = 60_000;
/** More wait their turn: a claim of many domains is no reason to flood a nameserver. */
const maxConcurrentQueries = 100;

const noSuchName: Lookup<never> = { type: 'NoSuchName' };
const noSuchRecord: Lookup<never> = { type: 'NoSuchRecord' };

export function createMailResolver(options: ResolverOptions): MailResolver {
  const mxCache = new TtlCache<Lookup<MxRecord>>(maxCachedNames, options.now);
  const addressCache = new TtlCache<Lookup<string>>(maxCachedNames, options.now);
  const { timeoutMs: timeout = 5000, tries = 3 } = options;
  let nameservers: readonly string[] | undefined;
  let resolver = new Resolver({ timeout, tries, maxTimeout: timeout });

  function current(): Resolver {
    const wanted = options.nameservers();
    if (wanted === nameservers) return resolver;
    nameservers = wanted;
    resolver = new Resolver({ timeout, tries, maxTimeout: timeout });
    if (wanted.length > 0) resolver.setServers([...wanted]);
    return resolver;
  }

  const turns = new Turns(maxConcurrentQueries);
  let cancelled = false;

  /** Those that wait for their turn must not begin after the end. */
  async function query<Value>(question: (resolver: Resolver) => Promise<Value[]>): Promise<Lookup<Value>> {
    return cancelled ? { type: 'Unavailable', code: 'ECANCELLED' } : await ask(() => question(current()));
  }

  async function askMx(domain: string): Promise<Lookup<MxRecord>> {
    const records = await turns.run(async () => await query(asked => asked.resolveMx(absolute(domain))));
    const answer = mapFound(records, ({ exchange, priority }) => ({
      exchange: exchange.toLowerCase().replace(/\.$/, ''),
      preference: priority,
    }));
    remember(mxCache, domain, answer, mxTtlMs);
    return answer;
  }

  async function askAddresses(host: string): Promise<Lookup<string>> {
    const [v6, v4] = await turns.run(
      async () =>
        await Promise.all([
          query(asked => asked.resolve6(absolute(host), { ttl: true })),
          query(asked => asked.resolve4(absolute(host), { ttl: true })),
        ]),
    );
    const records = merge(v6, v4);
    const answer = mapFound(records, record => record.address);
    remember(addressCache, host, answer, shortestTtlMs(records));
    return answer;
  }

  const mxAsked = new Map<string, Promise<Lookup<MxRecord>>>();
  const addressesAsked = new Map<string, Promise<Lookup<string>>>();

  async function mx(domain: string): Promise<Lookup<MxRecord>> {
    return mxCache.get(domain) ?? (await once(mxAsked, domain, askMx));
  }

  async function addresses(host: string): Promise<Lookup<string>> {
    if (isIP(host) !== 0) return { type: 'Found', values: [host] };
    return addressCache.get(host) ?? (await once(addressesAsked, host, askAddresses));
  }

  function cancel(): void {
    cancelled = true;
    resolver.cancel();
  }

  return { mx, addresses, cancel };
}

/** Those that ask the same thing at the same time get the same answer. */
async function once<Value>(
  asked: Map<string, Promise<Value>>,
  name: string,
  question: (name: string) => Promise<Value>,
): Promise<Value> {
  const underway = asked.get(name);
  if (underway !== undefined) return await underway;
  const mine = question(name);
  asked.set(name, mine);
  try {
    return await mine;
  } finally {
    asked.delete(name);
  }
}

function remember<Value>(cache: TtlCache<Lookup<Value>>, name: string, answer: Lookup<Value>, ttlMs: number): void {
  // A nameserver in trouble is asked again at the next attempt: the lane's back-off spaces them.
  if (answer.type === 'Unavailable') return;
  cache.set(name, answer, answer.type === 'Found' ? ttlMs : negativeTtlMs);
}

function absolute(name: string): string {
  return name.endsWith('.') ? name : `${name}.`;
}

async function ask<Value>(query: () => Promise<Value[]>): Promise<Lookup<Value>> {
  try {
    const values = await query();
    return values.length === 0 ? noSuchRecord : { type: 'Found', values };
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'UNKNOWN';
    if (code === 'ENOTFOUND' || code === 'ENONAME') return noSuchName;
    if (code === 'ENODATA') return noSuchRecord;
    return { type: 'Unavailable', code };
  }
}

function mapFound<From, To>(lookup: Lookup<From>, change: (value: From) => To): Lookup<To> {
  return lookup.type === 'Found' ? { type: 'Found', values: lookup.values.map(change) } : lookup;
}

interface AddressRecord {
  readonly address: string;
  readonly ttl: number;
}

/** What one family has is enough; without any, trouble with one of them is no proof that there is none. */
function merge(v6: Lookup<AddressRecord>, v4: Lookup<AddressRecord>): Lookup<AddressRecord> {
  if (v6.type === 'Found' && v4.type === 'Found') return { type: 'Found', values: alternate(v6.values, v4.values) };
  if (v6.type === 'Found') return v6;
  if (v4.type === 'Found' || v4.type === 'Unavailable') return v4;
  return v6.type === 'NoSuchName' ? v4 : v6;
}

function alternate<Value>(first: readonly Value[], second: readonly Value[]): Value[] {
  const longest = Math.max(first.length, second.length);
  return Array.from({ length: longest }, (_, i) => [...first.slice(i, i + 1), ...second.slice(i, i + 1)]).flat();
}

function shortestTtlMs(lookup: Lookup<AddressRecord>): number {
  if (lookup.type !== 'Found') return negativeTtlMs;
  const shortest = lookup.values.reduce((least, { ttl }) => Math.min(least, ttl * 1000), maxTtlMs);
  return Math.max(minTtlMs, shortest);
}

/** At most so many at once; the others wait in order. Those that wait are bounded by the claims held. */
class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#free = max;
  }

  async run<Value>(task: () => Promise<Value>): Promise<Value> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>(resolve => this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
