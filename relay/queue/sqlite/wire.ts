/**
 * What the main thread and the store's worker say to each other.
 *
 * A batch is one JSON text, with all heads and inline contents behind each other in one buffer that changes hands without a
 * copy. JSON is deliberate: for such small objects it costs a third less CPU than a structured clone (1.9 against 2.9 us a
 * message, both ways together). Answers are cloned: most are empty; claims are JSON with one buffer a message that changes hands.
 */
import type { Outcome, QueueEntry, QueueStats, RecipientState } from '../queue.ts';
import type { Failure } from './errors.ts';

export interface RecipientRow {
  readonly path: string;
  readonly domain: string;
  readonly destination: string;
  readonly notify: number;
  readonly orcpt?: string;
}

export interface MessageRow {
  readonly id: string;
  readonly tenant: string;
  readonly policy: string | null;
  readonly received: number;
  readonly expiry: number;
  /** EnvelopeSender as JSON, as it is stored. */
  readonly sender: string;
  /** Where the head begins in the batch's buffer; an inline content follows it. */
  at: number;
  readonly headBytes: number;
  readonly contentBytes: number;
  /** Of the content, wherever it is. */
  readonly size: number;
  /** Name in the spool folder; null when the content is in the row. */
  readonly file: string | null;
  readonly recipients: readonly RecipientRow[];
}

/** `tokens`: one for each destination of a message that is born leased. */
export interface EnqueueOp {
  readonly op: 'enqueue';
  readonly message: MessageRow;
  readonly tokens?: Readonly<Record<string, number>>;
  readonly leaseExpiry?: number;
}

export interface SettleOp {
  readonly op: 'settle';
  readonly token: number;
  readonly id: string;
  readonly outcomes: readonly Outcome[];
  readonly messages: readonly MessageRow[];
}

export interface ClaimOp {
  readonly op: 'claim';
  readonly limit: number;
  readonly limitPerDestination: number;
  readonly leaseMs: number;
}

/** Filter with the slice of the table that one transaction looks at. */
export interface Scan {
  readonly ids?: readonly string[];
  readonly domain?: string;
  readonly tenant?: string;
  readonly state?: RecipientState;
  readonly receivedBeforeMs?: number;
  /** Read on behind this recipient. */
  readonly after?: Position;
}

export interface Position {
  readonly id: string;
  readonly index: number;
}

export type Move = 'hold' | 'release' | 'retryNow';

export type Op =
  | EnqueueOp
  | SettleOp
  | ClaimOp
  | { readonly op: 'nextDue' }
  | { readonly op: 'suspend'; readonly destination: string; readonly untilMs: number }
  | { readonly op: 'renew'; readonly tokens: readonly number[]; readonly leaseMs: number }
  | { readonly op: 'move'; readonly move: Move; readonly scan: Scan }
  | { readonly op: 'count'; readonly scan: Scan }
  | { readonly op: 'list'; readonly scan: Scan; readonly limit: number }
  | { readonly op: 'stats' }
  | { readonly op: 'probe' };

/** One slice done: how many matched, and where to read on, when there is more. */
export interface Slice {
  readonly matched: number;
  readonly next?: Position;
}

export interface ListSlice {
  readonly entries: readonly QueueEntry[];
  readonly next?: Position;
}

export interface ClaimedRecipient extends RecipientRow {
  readonly index: number;
  readonly attempts: number;
  readonly delayWarned: boolean;
}

export interface ClaimedMessage {
  readonly token: number;
  /** Of its recipient that is due for longest. */
  readonly due: number;
  readonly id: string;
  readonly tenant: string;
  readonly policy: string | null;
  readonly received: number;
  readonly expiry: number;
  readonly sender: string;
  readonly size: number;
  readonly file: string | null;
  readonly headBytes: number;
  readonly destination: string;
  readonly recipients: readonly ClaimedRecipient[];
}

export interface Claimed {
  readonly leaseExpiry: number;
  /** ClaimedMessage[] as JSON. */
  readonly messages: string;
  /** Of each message its head, and behind it the content, when that is not a file. */
  readonly pieces: readonly Uint8Array<ArrayBuffer>[];
}

/** What each operation answers; the others answer nothing. */
export interface Answers {
  readonly enqueue: undefined;
  readonly settle: undefined;
  readonly claim: Claimed;
  readonly nextDue: number | undefined;
  readonly suspend: undefined;
  readonly renew: readonly number[];
  readonly move: Slice;
  readonly count: Slice;
  readonly list: ListSlice;
  readonly stats: QueueStats;
  readonly probe: undefined;
}

export type Answer = Answers[keyof Answers];

export type Result = { readonly value: Answer } | { readonly failure: Failure };

export interface Batch {
  readonly batch: number;
  /** Op[] as JSON. */
  readonly ops: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly nowMs: number;
  readonly minFreeBytes: number;
}

export type ToWorker = Batch | 'close';

export type FromWorker =
  | { readonly type: 'opened'; readonly epoch: number }
  | { readonly type: 'refused'; readonly failure: Failure }
  /** `results` holds only what is more than an empty success, by position in the batch. `bytes` comes back to be used again. */
  | {
      readonly type: 'answer';
      readonly batch: number;
      readonly results: readonly (readonly [number, Result])[];
      readonly bytes: Uint8Array<ArrayBuffer>;
    }
  | { readonly type: 'fault'; readonly failure: Failure }
  | { readonly type: 'closed' };

export interface WorkerOptions {
  readonly dataDir: string;
  readonly walBytes: number;
  readonly nowMs: number;
}

export const spoolFolder = 'spool';
