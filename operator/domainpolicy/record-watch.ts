/**
 * Looks at the records of all policies, beside the queue that reconciles them: a pass takes what was seen last, and never waits for DNS.
 * Each record has its own time; when what is seen changes, its policy is looked at again.
 */
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import { longestSpf, type TxtAnswer, type TxtLookups } from '../dns/txt.ts';
import type { MetricSink } from '../kube/metrics.ts';
import { createWorkQueue, type Requeue } from '../kube/workqueue.ts';
import type { DnsRecord } from './dns-record.ts';
import { LookTurns } from './look-turns.ts';
import { type CheckedRecord, checkRecord, type RecordSight } from './record-check.ts';
import { countLookups, mergeSpf, spfRecordsOf, termsOf } from './spf.ts';

export interface Seen {
  /** Of the last look. */
  readonly record: CheckedRecord;
  /** What the last look that was definite said of the record being there; undefined: none was. */
  readonly definite: { readonly isThere: boolean; readonly timeMs: number } | undefined;
}

export interface Watched {
  readonly record: DnsRecord;
  /** Somebody signs by it, or may have to: a change must be noticed within about a minute. */
  readonly isGuarded: boolean;
  /** Until then it is new: a server that still had the zone of before is noticed within seconds. */
  readonly newUntilMs?: number;
}

export interface RecordWatch {
  /** These, and no others any more, for this policy (`namespace/name`); `version` differs: all are looked at now. */
  want(policyKey: string, records: readonly Watched[], version: string): void;
  forget(policyKey: string): void;
  seen(policyKey: string, record: DnsRecord): Seen | undefined;
  /** Each of them at least once. Before that nothing is told of any, so that one look at all of them is one news. */
  isLookedAt(policyKey: string): boolean;
  /** How long it is worth to wait for the first look at all of them; undefined: it is over, or takes longer than that. */
  firstLookMs(policyKey: string): number | undefined;
  /** Until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

export interface WatchOptions {
  readonly lookups: TxtLookups;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: MetricSink;
  readonly touchPolicy: (key: string) => void;
  /** Policies wait for their first pass: what nobody signs by yet is looked at again less often. */
  readonly isBusy?: () => boolean;
}

/** An older look lets no key sign. Two looks at what is guarded. */
export const freshLookMs = 150_000;
/** Name servers that answer at all mostly do so within this. */
const promptLookMs = 1000;
/** Whoever has just been told of a record mostly publishes it within a minute, and waits for what comes of it. */
const firstWaitMs = 5000;
const longestWaitMs = 300_000;
const busyFactor = 24;
const guardMs = 60_000;
const newGuardMs = 15_000;
const settledMs = 3_600_000;
const jitter = 0.2;
/** Names under way; each asks all its servers. */
const concurrency = 32;

interface Entry {
  readonly policyKey: string;
  readonly record: DnsRecord;
  isGuarded: boolean;
  newUntilMs: number;
  /** In a row that did not find it. */
  misses: number;
  wasThere: boolean;
  seen: Seen | undefined;
}

interface Asked {
  readonly version: string;
  readonly keys: ReadonlySet<string>;
  /** For the first of them. */
  readonly sinceMs: number;
}

export function createRecordWatch(options: WatchOptions): RecordWatch {
  const { lookups, clock, random, log, metrics, touchPolicy, isBusy = () => false } = options;
  const queue = createWorkQueue({ name: 'dns', clock, random, log, metrics });
  const turns = new LookTurns(key => queue.add(key));
  const entries = new Map<string, Entry>();
  const byPolicy = new Map<string, Asked>();

  function foundWaitMs({ isGuarded, newUntilMs }: Entry): number {
    if (!isGuarded) return settledMs;
    return clock.now() < newUntilMs ? newGuardMs : guardMs;
  }

  function waitMs(entry: Entry): number {
    const { seen, misses, isGuarded, wasThere } = entry;
    const isFound = seen?.record.state === 'Published';
    const found = foundWaitMs(entry);
    // Servers that are silent now may have lost it when they are back, and somebody signs by it all the time.
    const longest = isGuarded && seen?.definite?.isThere === true ? guardMs : longestWaitMs;
    const missedMs = firstWaitMs * 2 ** Math.max(0, misses - 1);
    const base = isFound ? found : Math.min(longest, !wasThere && isBusy() ? missedMs * busyFactor : missedMs);
    return base * (1 + jitter * (2 * random() - 1));
  }

  /** One that must wait for others of its namespace is brought back when there is room. */
  async function lookInTurn(key: string, signal: AbortSignal): Promise<Requeue | undefined> {
    const leave = turns.take(namespaceOf(key), key);
    if (leave === undefined) return undefined;
    try {
      return await look(key, signal);
    } finally {
      leave();
    }
  }

  async function look(key: string, signal: AbortSignal): Promise<Requeue | undefined> {
    const entry = entries.get(key);
    if (entry === undefined) return undefined;
    const sight = await sightOf(entry.record, lookups, signal);
    // Asked for no more while the answer was under way.
    if (entries.get(key) !== entry) return undefined;
    const record = checkRecord(entry.record, sight);
    const isThere = record.state === 'Published';
    const before = entry.seen;
    const definite = record.state === 'Unknown' ? before?.definite : { isThere, timeMs: clock.now() };
    entry.seen = { record, definite };
    entry.wasThere ||= isThere;
    entry.misses = isThere ? 0 : entry.misses + 1;
    if (isNews(entry, before)) touchPolicy(entry.policyKey);
    return { requeueAfterMs: waitMs(entry) };
  }

  function isNews({ policyKey, seen, isGuarded }: Entry, before: Seen | undefined): boolean {
    const [is, was] = [seen?.definite, before?.definite];
    if (was?.isThere === true && is?.isThere === false) return true;
    // One that says the same as long ago lets a key sign that an old look did not.
    const isRenewed =
      isGuarded && seen?.record.state === 'Published' && clock.now() - (was?.timeMs ?? 0) >= freshLookMs;
    const isOther = JSON.stringify(before?.record) !== JSON.stringify(seen?.record);
    return (isRenewed || isOther) && isLookedAt(policyKey);
  }

  function isLookedAt(policyKey: string): boolean {
    return [...(byPolicy.get(policyKey)?.keys ?? [])].every(key => entries.get(key)?.seen !== undefined);
  }

  function keep(key: string, entry: Entry, isNewVersion: boolean): void {
    const known = entries.get(key);
    if (known === undefined) {
      entries.set(key, entry);
      queue.add(key);
      return;
    }
    const isNearer = foundWaitMs(entry) < foundWaitMs(known);
    known.isGuarded = entry.isGuarded;
    known.newUntilMs = entry.newUntilMs;
    if (isNewVersion) {
      known.misses = 0;
      queue.add(key);
    } else if (isNearer) queue.addAfter(key, foundWaitMs(known));
  }

  function forget(policyKey: string): void {
    for (const key of byPolicy.get(policyKey)?.keys ?? []) entries.delete(key);
    byPolicy.delete(policyKey);
  }

  return {
    want(policyKey, records, version) {
      const before = byPolicy.get(policyKey);
      const wanted = new Map(records.map(watched => [keyOf(policyKey, watched.record), watched]));
      for (const key of before?.keys ?? []) if (!wanted.has(key)) entries.delete(key);
      byPolicy.set(policyKey, { version, keys: new Set(wanted.keys()), sinceMs: before?.sinceMs ?? clock.now() });
      for (const [key, { record, isGuarded, newUntilMs = 0 }] of wanted)
        keep(
          key,
          { policyKey, record, isGuarded, newUntilMs, misses: 0, wasThere: false, seen: undefined },
          before?.version !== version,
        );
    },
    forget,
    isLookedAt,
    firstLookMs(policyKey) {
      const leftMs = promptLookMs - (clock.now() - (byPolicy.get(policyKey)?.sinceMs ?? 0));
      return leftMs <= 0 || leftMs > promptLookMs || isLookedAt(policyKey) ? undefined : leftMs;
    },
    seen: (policyKey, record) => entries.get(keyOf(policyKey, record))?.seen,
    run: signal => queue.run(lookInTurn, { concurrency, signal }),
  };
}

/** With its value: a record that should say something else is another one. */
function keyOf(policyKey: string, { name, purpose, value }: DnsRecord): string {
  return JSON.stringify([policyKey, name, purpose, value]);
}

/** Of a policy's key, as keyOf writes it. */
function namespaceOf(key: string): string {
  const [policyKey = ''] = JSON.parse(key) as string[];
  return policyKey.slice(0, policyKey.indexOf('/'));
}

/** However many servers a name has and however slow they are. */
const longestLookMs = 30_000;

async function sightOf(record: DnsRecord, lookups: TxtLookups, signal: AbortSignal): Promise<RecordSight> {
  try {
    return await sightInTime(record, lookups, AbortSignal.any([signal, AbortSignal.timeout(longestLookMs)]));
  } catch (error) {
    if (signal.aborted || !(error instanceof Error) || error.name !== 'TimeoutError') throw error;
    const problem = `no answer within ${longestLookMs / 1000} s`;
    return { answer: { servers: [], problem }, lookups: undefined, broken: [] };
  }
}

async function sightInTime(record: DnsRecord, lookups: TxtLookups, signal: AbortSignal): Promise<RecordSight> {
  const answer = await lookups.authoritative(record.name, signal);
  if (record.purpose !== 'SPF') return { answer, lookups: undefined, broken: [] };
  const { value } = mergeSpf(firstSpf(answer), termsOf(record.value).slice(0, -1));
  const counted = await countLookups(value, async name => {
    const said = await lookups.resolvedSpf(name, signal);
    if (said.kind === 'Silent') return undefined;
    return said.kind === 'Texts' ? said.texts : [];
  });
  return { answer, ...counted };
}

function firstSpf({ servers }: TxtAnswer): string | undefined {
  const all = servers.flatMap(({ said }) => (said.kind === 'Texts' ? spfRecordsOf(said.texts) : []));
  return all.find(({ length }) => length <= longestSpf);
}
