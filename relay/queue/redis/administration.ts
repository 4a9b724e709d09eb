/** What people ask of the queue, over its partitions. Entries of all of them are put into one order of ids. */
import type { Reply } from '../../redis/connection.ts';
import type { Filter, Page, QueueEntry, QueueStats, RecipientState } from '../queue.ts';
import { decodeReply } from '../sqlite/columns.ts';
import { formatCursor, parseCursor } from '../sqlite/cursor.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import { type InTime, inTime } from './attention.ts';
import { messageRecordOf, parseOwnState, parseRecord, queuedRecipientOf } from './codec.ts';
import type { Asking } from './conversation.ts';
import { isUnavailable } from './errors.ts';
import type { Partition } from './keys.ts';

export type Move = 'hold' | 'release' | 'retryNow';

interface Position {
  readonly id: string;
  readonly index: number;
}

interface Counted {
  /** As stats.lua gives them. */
  readonly row: readonly string[];
  /** Of the server's clock to ours. */
  readonly offsetMs: number;
}

interface Slice {
  readonly matched: number;
  readonly next: Position | undefined;
  readonly entries: readonly Reply[];
  /** Of the server's clock to ours. */
  readonly offsetMs: number;
}

export interface AdministrationParts {
  readonly conversation: Asking;
  readonly partitions: readonly Partition[];
  readonly nowMs: () => number;
  /** For tests. */
  readonly inTime?: InTime;
}

const longestPage = 1000;
const from = { hold: 'Waiting', release: 'Held', retryNow: 'Waiting' } as const satisfies Record<Move, RecipientState>;

export class Administration {
  readonly #parts: AdministrationParts;
  /** What each partition said last. */
  readonly #counted = new Map<Partition, Counted>();

  constructor(parts: AdministrationParts) {
    this.#parts = parts;
  }

  async move(move: Move, filter: Filter): Promise<number> {
    if (filter.state !== undefined && filter.state !== from[move]) return 0;
    const wanted = { ...filter, state: from[move] };
    return this.#sum(async (partition, after) => {
      const asked = { move, filter: { ...sorted(wanted), ...after } };
      const options = { durable: 'WhereItCan', repeatable: true } as const;
      const { reply } = await this.#parts.conversation.ask({ partition, script: 'move', asked }, options);
      return sliceOf(reply, 0);
    });
  }

  async count(filter: Filter): Promise<number> {
    const { ids, domain, tenant, receivedBeforeMs, state } = filter;
    if (ids === undefined && domain === undefined && tenant === undefined && receivedBeforeMs === undefined) {
      const { depth, partsAway = 0 } = await this.stats();
      if (partsAway > 0)
        throw new QueueStoreError('POSTROAD_QUEUE_UNAVAILABLE', `${partsAway} parts of the queue do not answer`);
      return state === undefined ? depth.Waiting + depth.Leased + depth.Held : depth[state];
    }
    return this.#sum((partition, after) => this.#slice(partition, { ...filter, ...after }, Number.MAX_SAFE_INTEGER));
  }

  /** @throws RangeError for a cursor that is none */
  async list(filter: Filter, page: { readonly limit: number; readonly after?: string }): Promise<Page<QueueEntry>> {
    const limit = Math.max(1, Math.min(page.limit, longestPage));
    const after = page.after === undefined ? {} : { after: parseCursor(page.after) };
    // One more than asked for tells whether there is a next page.
    const found = await Promise.all(
      this.#parts.partitions.map(partition => this.#first(partition, { ...filter, ...after }, limit + 1)),
    );
    const items = found.flat().sort(byPosition);
    if (items.length <= limit) return { items, next: undefined };
    return { items: items.slice(0, limit), next: formatCursor(items[limit - 1]) };
  }

  /** Of a partition that is away, what it said last. @throws QueueStoreError: it never said anything */
  async stats(): Promise<QueueStats> {
    const { partitions, inTime: its = inTime } = this.#parts;
    const heard = new Set<Partition>();
    const asks = new Map(partitions.map(partition => [partition, this.#count(partition, heard)]));
    if (partitions.length === 1) await Promise.all(asks.values());
    else await its([...asks.values()]);
    for (const [partition, ask] of asks) if (!this.#counted.has(partition)) await ask;
    const all = [...this.#counted.values()];
    const sum = (column: number): number => all.reduce((total, { row }) => total + Number(row[column] ?? 0), 0);
    const oldest = all.filter(({ row }) => row[8] !== '').map(({ row, offsetMs }) => Number(row[8]) + offsetMs);
    const partsAway = partitions.length - heard.size;
    return {
      ...(partsAway > 0 && { partsAway }),
      totals: { accepted: sum(1), delivered: sum(2), failed: sum(3), discarded: sum(4) },
      depth: { Waiting: sum(5), Leased: sum(6), Held: sum(7) },
      oldestDueTimeMs: oldest.length === 0 ? undefined : Math.min(...oldest),
    };
  }

  async #count(partition: Partition, heard: Set<Partition>): Promise<void> {
    const { conversation, partitions, nowMs } = this.#parts;
    try {
      const { reply } = await conversation.ask({ partition, script: 'stats', asked: {} }, { repeatable: true });
      this.#counted.set(partition, { row: reply.map(String), offsetMs: nowMs() - Number(reply[0]) });
      heard.add(partition);
    } catch (error) {
      if (partitions.length === 1 || !isUnavailable(error) || !this.#counted.has(partition)) throw error;
    }
  }

  async #first(partition: Partition, filter: Filter & { after?: Position }, most: number): Promise<QueueEntry[]> {
    const entries: QueueEntry[] = [];
    let after: { after?: Position } = {};
    for (;;) {
      const slice = await this.#slice(partition, { ...filter, ...after }, most - entries.length);
      entries.push(...slice.entries.map(entry => entryOf(entry, slice.offsetMs)));
      if (slice.next === undefined || entries.length >= most) return entries;
      after = { after: slice.next };
    }
  }

  async #slice(partition: Partition, filter: Filter & { after?: Position }, most: number): Promise<Slice> {
    const only = most > longestPage + 1 ? 'Count' : 'Entries';
    const asked = { filter: sorted(filter), most: Math.min(most, 1_000_000_000), only };
    const { reply } = await this.#parts.conversation.ask({ partition, script: 'list', asked }, { repeatable: true });
    return sliceOf(reply, this.#parts.nowMs());
  }

  async #sum(ask: (partition: Partition, after: { after?: Position }) => Promise<Slice>): Promise<number> {
    let matched = 0;
    for (const partition of this.#parts.partitions) {
      let after: { after?: Position } = {};
      for (;;) {
        const slice = await ask(partition, after);
        matched += slice.matched;
        if (slice.next === undefined) break;
        after = { after: slice.next };
      }
    }
    return matched;
  }
}

/** Each id once, in order, which is how the script walks. */
function sorted<T extends Filter>(filter: T): T {
  return filter.ids === undefined ? filter : { ...filter, ids: [...new Set(filter.ids)].sort() };
}

function sliceOf([now, matched, id, index, ...entries]: readonly Reply[], nowMs: number): Slice {
  const name = String(id);
  const next = name === '' ? undefined : { id: name, index: Number(index) };
  return { matched: Number(matched), next, entries, offsetMs: nowMs - Number(now) };
}

function entryOf(entry: Reply, offsetMs: number): QueueEntry {
  const [id, index, state, due, own, json] = entry as [Buffer, number, Buffer, Buffer, Buffer, Buffer];
  const record = parseRecord(json.toString());
  const ownState = parseOwnState(own.toString());
  return {
    ...messageRecordOf(id.toString(), record),
    ...queuedRecipientOf(record, index, ownState),
    state: state.toString() as RecipientState,
    sizeBytes: record.z,
    nextAttemptTimeMs: Number(due) === 0 ? record.rt : Number(due) + offsetMs,
    lastReason: ownState.reason === '' ? null : ownState.reason,
    lastReply: decodeReply(ownState.reply === '' ? null : ownState.reply),
  };
}

function byPosition(one: Position, other: Position): number {
  if (one.id !== other.id) return one.id < other.id ? -1 : 1;
  return one.index - other.index;
}
