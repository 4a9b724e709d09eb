/**
 * The durable queue: what every store must do. Between `accept` (enqueue) and `schedule` (claim, settle).
 *
 * State of a recipient, the unit of the queue:
 *
 *   enqueue ──► Waiting ──claim──► Leased ──settle──► gone: Delivered | Failed | Discarded
 *                 ▲  │ ▲              │
 *                 │  │ └──deferred────┘  (or lease expired, or owner died)
 *            release hold
 *                 │  ▼
 *                 Held
 *
 * Guarantees
 * - `enqueue` resolves only when message and recipients would survive kill -9 and power loss (G1). A rejected enqueue stored nothing.
 * - `settle` is one transition: the outcomes of a claim and the messages it causes (DSNs) become durable together, so a crash
 *   can neither lose nor double a DSN. It is refused with LeaseLostError when the lease is no longer ours.
 * - A message is gone when its last recipient is. Its content is removed with it.
 * - `totals` change in the same transition as the recipients they count, and survive restarts:
 *   accepted = delivered + failed + discarded + waiting + leased + held, at every instant (G3).
 * - Claims are fair: tenants take turns, and within a tenant its destinations take turns; a suspended destination costs nothing.
 * - Every list is paged, every wait bounded (G7).
 */
import type { EnvelopeSender, Notify } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';

/** Bytes of a message as received, with CRLF line ends and no dot-stuffing. Read any number of times until the message is gone. */
export interface Content {
  readonly sizeBytes: number;
  /** The whole content, when it is held in memory. */
  readonly bytes: Buffer | undefined;
  /** Chunks in order; each is ours to keep. Works whether or not `bytes` is there. */
  read(): AsyncIterable<Buffer>;
}

/**
 * Receives the content of a message to come: in memory up to a limit (and while the process's budget for all of them lasts),
 * else in the store's own place, so that memory stays bounded however many arrive at once.
 */
export interface Spool {
  /**
   * The chunk is the spool's from now on. Returns a promise when the caller must wait before the next write.
   * @throws QueueFullError, or the store's fault, at once or by the promise
   */
  write(chunk: Buffer): Promise<void> | undefined;
  /** Ends the content. It is not durable yet: `enqueue` makes it so. */
  finish(): Promise<Content>;
  /** Gives everything back; safe at any time, also after finish() when the message was not enqueued. */
  discard(): Promise<void>;
}

export interface MessageRecord {
  /** Sortable by time of arrival; safe in file names and URLs. */
  readonly id: string;
  readonly sender: EnvelopeSender;
  /** Namespace that the message is counted and scheduled under. */
  readonly tenant: string;
  /** `namespace/name` of the DomainPolicy it was accepted under; of a DSN, the one of what it is about. null: none is known. */
  readonly policy: string | null;
  /** What that policy demanded of the way out when the message was accepted, for when the policy is gone; a DSN has it from what it is about. Left out: nothing. */
  readonly tls?: 'Required' | 'Verified';
  readonly receivedTimeMs: number;
  /** After this a recipient that is still deferred fails. */
  readonly expiryTimeMs: number;
}

export interface NewRecipient {
  readonly forwardPath: string;
  /** Lower-case A-label domain of the forward-path. */
  readonly domain: string;
  /** What is claimed together and suspended together: see `schedule`. */
  readonly destination: string;
  readonly notify: readonly Notify[];
  readonly orcpt?: string;
}

export interface NewMessage extends MessageRecord {
  /** What we put before the content: DKIM-Signature, Received, added header fields. Small. */
  readonly head: Buffer;
  readonly content: Content;
  readonly recipients: readonly NewRecipient[];
}

export interface QueuedRecipient extends NewRecipient {
  /** Position within its message, from 0. */
  readonly index: number;
  /** Attempts made so far. */
  readonly attempts: number;
  /** A delay warning was sent (RFC 3461 s4.1). */
  readonly delayWarned: boolean;
}

/** A lease on recipients of one message that share a destination. */
export interface Claim {
  /** Fencing token: a settle or renew with an older one is refused. */
  readonly token: string;
  readonly message: MessageRecord;
  readonly head: Buffer;
  readonly content: Content;
  readonly destination: string;
  readonly recipients: readonly QueuedRecipient[];
  /** Since when the first of its recipients is due. */
  readonly dueTimeMs: number;
  readonly leaseExpiryTimeMs: number;
  /** Of the time when it was asked for: see `leaseEra` of the queue. Left out: 0. */
  readonly leaseEra?: number;
}

export type Outcome =
  | { readonly index: number; readonly result: 'Delivered' }
  | { readonly index: number; readonly result: 'Failed' | 'Discarded'; readonly reason: string; readonly reply?: Reply }
  | {
      readonly index: number;
      readonly result: 'Deferred';
      readonly reason: string;
      readonly reply?: Reply;
      readonly nextAttemptTimeMs: number;
      /** false: we never reached the point of trying (lane full, shutdown), so it does not count as an attempt. */
      readonly attempted: boolean;
      readonly delayWarned: boolean;
    };

export interface Settlement {
  readonly claim: Pick<Claim, 'token' | 'message' | 'destination'>;
  /** One for each recipient of the claim, or for some of them: the others stay leased. */
  readonly outcomes: readonly Outcome[];
  /** DSNs caused by these outcomes, enqueued in the same transition. */
  readonly messages: readonly NewMessage[];
}

export type RecipientState = 'Waiting' | 'Leased' | 'Held';

export interface Filter {
  readonly ids?: readonly string[];
  readonly domain?: string;
  readonly tenant?: string;
  readonly state?: RecipientState;
  readonly receivedBeforeMs?: number;
}

export interface QueueEntry extends MessageRecord, QueuedRecipient {
  readonly state: RecipientState;
  readonly sizeBytes: number;
  readonly nextAttemptTimeMs: number;
  readonly lastReason: string | null;
  readonly lastReply: Reply | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Give it back to read on; undefined at the end. */
  readonly next: string | undefined;
}

/** Recipients since the queue was made; durable, and changed together with what they count. */
export interface QueueTotals {
  readonly accepted: number;
  readonly delivered: number;
  readonly failed: number;
  readonly discarded: number;
}

export interface QueueStats {
  readonly totals: QueueTotals;
  /** Recipients now, by state. */
  readonly depth: Readonly<Record<RecipientState, number>>;
  /** Due time of the longest overdue Waiting recipient; undefined when none is due. What is Leased its owner knows: `Claim`. */
  readonly oldestDueTimeMs: number | undefined;
  /** Parts of the store that do not answer; of them all this is as it was when they last did. Left out: none. */
  readonly partsAway?: number;
}

export interface ClaimRequest {
  /** Most recipients to lease. */
  readonly limit: number;
  /** Most recipients of one destination in this claim. */
  readonly limitPerDestination: number;
  readonly leaseMs: number;
}

export interface Queue {
  openSpool(): Spool;
  /**
   * With `leaseMs` the message is born Leased and its claims (one a destination) are returned, with its content still in
   * memory: delivery can start at once while the durable copy is the safety net. Without, it is born Waiting and due now.
   * @throws QueueFullError (tell the peer 452), or the store's own fault (451)
   */
  enqueue(message: NewMessage, options?: { readonly leaseMs: number }): Promise<Claim[]>;
  /**
   * Due recipients; empty when nothing is due. Takes back first what is under leases whose time is over: until a claim does, they
   * are still their owner's, to settle or renew.
   */
  claim(request: ClaimRequest): Promise<Claim[]>;
  /**
   * When a claim will next find something that it does not find now: a recipient falls due, a suspension ends, a lease runs
   * out. A past time when it would find something already; undefined when nothing waits and nothing is leased.
   */
  nextDueTimeMs(): Promise<number | undefined>;
  /** No claims of this destination before `untilMs`; 0 lifts it. Not durable: it is advice from the lanes. */
  suspend(destination: string, untilMs: number): Promise<void>;
  /** Extends leases; returns the tokens that are no longer ours. */
  renew(tokens: readonly string[], leaseMs: number): Promise<readonly string[]>;
  /**
   * Of a store some parts of which may be away while others are there: which part a lease is of. `renew` is best asked of one at a time. Where it is
   * missing, there is one part, 0.
   */
  leasePart?(token: string): number;
  /**
   * What was leased or renewed in this era of its part is ours, as far as is known without asking. What is of an earlier one others may have taken
   * over: `renew` tells. Undefined: of nothing there it is known; a `renew` begins an era. Where it is missing, leases end by their time alone.
   */
  leaseEra?(part: number): number | undefined;
  /** @throws LeaseLostError */
  settle(settlement: Settlement): Promise<void>;
  /** Waiting to Held; returns how many. */
  hold(filter: Filter): Promise<number>;
  /** Held to Waiting and due now; returns how many. */
  release(filter: Filter): Promise<number>;
  /** Waiting recipients fall due now; returns how many. */
  retryNow(filter: Filter): Promise<number>;
  list(filter: Filter, page: { readonly limit: number; readonly after?: string }): Promise<Page<QueueEntry>>;
  count(filter: Filter): Promise<number>;
  stats(): Promise<QueueStats>;
  /** Writes and syncs; rejects when the queue could take no message now. What /readyz asks. */
  probe(): Promise<void>;
  /** Finishes what was asked, then lets go of the store. Leases stay, and end with this process or their time. */
  close(): Promise<void>;
}

/** The store has no room, or is close to having none; it recovers by itself. */
export class QueueFullError extends Error {
  override name = 'QueueFullError';
  readonly code = 'POSTROAD_QUEUE_FULL';
}

export class LeaseLostError extends Error {
  override name = 'LeaseLostError';
  readonly code = 'POSTROAD_LEASE_LOST';
}
