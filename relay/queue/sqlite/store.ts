/**
 * The `Volume` queue: SQLite in a worker thread, contents over the inline limit in files beside it.
 *
 *   accept ──openSpool──► memory ≤ 256 KiB ─────────────┐             ┌────── worker.ts ───────┐
 *                         file   > 256 KiB, synced ─────┤             │ one transaction, one   │
 *   accept ──enqueue──────────────────────────► batcher.ts ──batch──► │ sync for all that has  │──► queue.db, queue.db-wal
 *   schedule ──claim, settle, renew──────────►  (a turn of the loop)  │ arrived; then answers  │    spool/<name>
 *                                                       ◄──answers──  └────────────────────────┘
 *
 * The event loop never waits for the disk; while the worker syncs, the next batch gathers. An operation that is refused is
 * refused alone (transaction.ts). What is leased, to whom and until when is only in the worker's memory, and so is the index of
 * who is due (ready-index.ts): both are rebuilt at start.
 *
 * One process owns a data folder, by SQLite's lock on queue.db, which the kernel takes back from a dead process.
 *
 * A crash (kill -9 or power), by what was under way:
 *   receiving            the spool file is named by no row; the next start removes it. The client got no 250.
 *   enqueue, no answer   the transaction is in the log whole, or not at all. The client got no 250 and will send again.
 *   enqueue, answered    log and spool file were synced before the answer: it is there.
 *   claimed, delivering  the lease died with the process: Waiting again and due at once. Delivered twice if the next hop had
 *                        said 250 already (G2).
 *   settle, no answer    outcome, totals and DSNs are there together, or none of them: then as `claimed`.
 *   settle, answered     gone. A spool file that was not yet unlinked is removed at the next start.
 *   checkpoint           the log still has everything: SQLite reads it again at start.
 *   clean stop           the log's room is kept as queue.db-reserve (log-file.ts), or is still the log itself.
 */
import { mkdir, open } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Clock, systemClock } from '../../clock.ts';
import {
  type Claim,
  type ClaimRequest,
  type Filter,
  LeaseLostError,
  type NewMessage,
  type Page,
  type Queue,
  type QueueEntry,
  type QueueStats,
  type Settlement,
  type Spool,
} from '../queue.ts';
import { Batcher } from './batcher.ts';
import { createClaims, messagesOf, type Tokens, toClaim } from './claims.ts';
import { damaged } from './columns.ts';
import { formatCursor, parseCursor } from './cursor.ts';
import { DiskGuard } from './disk-guard.ts';
import { type Lodged, lodge } from './lodging.ts';
import { ContentSpool, MemoryBudget, type SpoolPlace } from './spool.ts';
import { FolderSync } from './spool-file.ts';
import { type Move, type Position, type Slice, spoolFolder } from './wire.ts';

export interface VolumeQueueOptions {
  readonly dataDir: string;
  /** Below this much free space nothing is taken in; read for each batch, so that a reload reaches it. */
  readonly minFreeDiskBytes: () => number;
  /** Contents up to this size are kept in the database. */
  readonly inlineLimitBytes?: number;
  /** For all contents that are being received in memory together; over it they go to files at once. */
  readonly memoryBudgetBytes?: number;
  /** Size that the write-ahead log grows to once and keeps. */
  readonly walBytes?: number;
  readonly clock?: Clock;
  /** The store has failed and refuses everything from now on: end the process, and let the next one recover. */
  readonly onFault?: (error: Error) => void;
}

/** @throws QueueStoreError: the folder is in use, the database is damaged or of a newer version */
export async function openVolumeQueue(options: VolumeQueueOptions): Promise<Queue> {
  const { minFreeDiskBytes, inlineLimitBytes = 256 * 1024, memoryBudgetBytes = 64 * 2 ** 20 } = options;
  const { walBytes = 16 * 2 ** 20, clock = systemClock, onFault = () => undefined } = options;
  const dataDir = resolve(options.dataDir);
  await makeFolder(dataDir);
  const { batcher, epoch } = await Batcher.open({
    worker: { dataDir, walBytes, nowMs: clock.now() },
    nowMs: () => clock.now(),
    minFreeBytes: minFreeDiskBytes,
    onFault,
  });
  const place: SpoolPlace = {
    budget: new MemoryBudget(memoryBudgetBytes),
    guard: new DiskGuard(dataDir, minFreeDiskBytes),
    folder: new FolderSync(join(dataDir, spoolFolder)),
    inlineLimitBytes,
  };
  return new VolumeQueue({ batcher, place, clock, tokens: createClaims(epoch) });
}

/** A folder made just now must not vanish with the power, so its parent is synced too. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  const parent = await open(dirname(first), 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

interface Parts {
  readonly batcher: Batcher;
  readonly place: SpoolPlace;
  readonly clock: Clock;
  readonly tokens: Tokens;
}

/** Most entries that one page of a list holds. */
const longestPage = 1000;

class VolumeQueue implements Queue {
  readonly #batcher: Batcher;
  readonly #place: SpoolPlace;
  readonly #clock: Clock;
  readonly #tokens: Tokens;

  constructor({ batcher, place, clock, tokens }: Parts) {
    this.#batcher = batcher;
    this.#place = place;
    this.#clock = clock;
    this.#tokens = tokens;
  }

  openSpool(): Spool {
    return new ContentSpool(this.#place);
  }

  async enqueue(message: NewMessage, options?: { readonly leaseMs: number }): Promise<Claim[]> {
    const lodging = lodge(message, this.#place);
    const lodged = lodging instanceof Promise ? await lodging : lodging;
    const leaseExpiry = options === undefined ? undefined : this.#clock.now() + options.leaseMs;
    const tokens = leaseExpiry === undefined ? undefined : this.#tokens.forMessage(message);
    const op = {
      op: 'enqueue' as const,
      message: lodged.row,
      ...(tokens === undefined || leaseExpiry === undefined ? {} : { tokens, leaseExpiry }),
    };
    try {
      await this.#batcher.do<'enqueue'>(op, lodged.pieces);
    } catch (error) {
      await lodged.unkept();
      throw error;
    }
    lodged.kept();
    if (tokens === undefined || leaseExpiry === undefined) return [];
    return this.#tokens.bornLeased({ ...message, content: lodged.content }, tokens, leaseExpiry);
  }

  async claim({ limit, limitPerDestination, leaseMs }: ClaimRequest): Promise<Claim[]> {
    const claimed = await this.#batcher.do<'claim'>({ op: 'claim', limit, limitPerDestination, leaseMs });
    const frame = { leaseExpiryTimeMs: claimed.leaseExpiry, spoolFolder: this.#place.folder.folder };
    return messagesOf(claimed).map((message, at) => {
      const bytes = claimed.pieces[at] ?? damaged('a claimed message without bytes');
      return toClaim(message, { ...frame, token: this.#tokens.format(message.token), bytes });
    });
  }

  nextDueTimeMs(): Promise<number | undefined> {
    return this.#batcher.do<'nextDue'>({ op: 'nextDue' });
  }

  suspend(destination: string, untilMs: number): Promise<void> {
    return this.#batcher.do<'suspend'>({ op: 'suspend', destination, untilMs });
  }

  async renew(tokens: readonly string[], leaseMs: number): Promise<readonly string[]> {
    const numbers = tokens.map(token => this.#tokens.parse(token));
    const lost = new Set(await this.#batcher.do<'renew'>({ op: 'renew', tokens: numbers, leaseMs }));
    return tokens.filter(token => lost.has(this.#tokens.parse(token)));
  }

  async settle({ claim, outcomes, messages }: Settlement): Promise<void> {
    const token = this.#tokens.parse(claim.token);
    if (token === 0) throw new LeaseLostError('The lease is of a former life of the queue.');
    const lodged: Lodged[] = [];
    try {
      for (const message of messages) lodged.push(await lodge(message, this.#place));
      const rows = lodged.map(({ row }) => row);
      const op = { op: 'settle' as const, token, id: claim.message.id, outcomes, messages: rows };
      await this.#batcher.do<'settle'>(
        op,
        lodged.flatMap(({ pieces }) => pieces),
      );
    } catch (error) {
      for (const { unkept } of lodged) await unkept();
      throw error;
    }
    for (const { kept } of lodged) kept();
  }

  hold(filter: Filter): Promise<number> {
    return this.#move('hold', filter);
  }

  release(filter: Filter): Promise<number> {
    return this.#move('release', filter);
  }

  retryNow(filter: Filter): Promise<number> {
    return this.#move('retryNow', filter);
  }

  count(filter: Filter): Promise<number> {
    return this.#slices(after => this.#batcher.do<'count'>({ op: 'count', scan: { ...filter, ...after } }));
  }

  async list(filter: Filter, page: { readonly limit: number; readonly after?: string }): Promise<Page<QueueEntry>> {
    const limit = Math.max(1, Math.min(page.limit, longestPage));
    const items: QueueEntry[] = [];
    let after = page.after === undefined ? undefined : parseCursor(page.after);
    for (;;) {
      // One more than asked for tells whether there is a next page.
      const op = { op: 'list' as const, scan: { ...filter, ...(after && { after }) }, limit: limit + 1 - items.length };
      const slice = await this.#batcher.do<'list'>(op);
      items.push(...slice.entries);
      after = slice.next;
      if (items.length > limit) return { items: items.slice(0, limit), next: formatCursor(items[limit - 1]) };
      if (after === undefined) return { items, next: undefined };
    }
  }

  stats(): Promise<QueueStats> {
    return this.#batcher.do<'stats'>({ op: 'stats' });
  }

  probe(): Promise<void> {
    return this.#batcher.do<'probe'>({ op: 'probe' });
  }

  close(): Promise<void> {
    return this.#batcher.close();
  }

  #move(move: Move, filter: Filter): Promise<number> {
    return this.#slices(after => this.#batcher.do<'move'>({ op: 'move', move, scan: { ...filter, ...after } }));
  }

  async #slices(ask: (after: { after?: Position }) => Promise<Slice>): Promise<number> {
    let matched = 0;
    let after: { after?: Position } = {};
    for (;;) {
      const slice = await ask(after);
      matched += slice.matched;
      if (slice.next === undefined) return matched;
      after = { after: slice.next };
    }
  }
}
