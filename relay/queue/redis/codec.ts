/** Messages as they are kept: a record in JSON, and head and content behind each other, compressed where that pays. */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { EnvelopeSender } from '../../smtp/envelope.ts';
import type { MessageRecord, NewMessage, NewRecipient, QueuedRecipient } from '../queue.ts';
import { decodeNotify, encodeNotify } from '../sqlite/columns.ts';
import { QueueStoreError } from '../sqlite/errors.ts';

type RecipientRow = readonly [path: string, domain: string, destination: string, notify: number, orcpt?: string];

/** Short names: it is kept once a message. */
export interface StoredRecord {
  readonly t: string;
  readonly p: string | null;
  /** Left out: nothing was demanded. */
  readonly l?: 'Required' | 'Verified';
  readonly rt: number;
  readonly e: number;
  readonly s: EnvelopeSender;
  /** Bytes of the content. */
  readonly z: number;
  /** Bytes of the head. */
  readonly hb: number;
  /** Pieces that the content is kept in beside the message; 0: it is behind the head. */
  readonly n: number;
  /** The content behind the head is compressed. */
  readonly c: 0 | 1;
  /** Of the call that stored it: by it a repetition is known. */
  readonly k: string;
  readonly R: readonly RecipientRow[];
}

export interface PackedContent {
  readonly body: Buffer;
  readonly pieces: number;
  readonly compressed: boolean;
}

export function recordOf(message: NewMessage, { pieces, compressed }: PackedContent, call: string): StoredRecord {
  const { reversePath, body, smtputf8, requireTls, ret, envid } = message.sender;
  return {
    t: message.tenant,
    p: message.policy,
    ...(message.tls === undefined ? {} : { l: message.tls }),
    rt: message.receivedTimeMs,
    e: message.expiryTimeMs,
    s: {
      reversePath,
      body,
      smtputf8,
      requireTls,
      ...(ret === undefined ? {} : { ret }),
      ...(envid === undefined ? {} : { envid }),
    },
    z: message.content.sizeBytes,
    hb: message.head.length,
    n: pieces,
    c: compressed ? 1 : 0,
    k: call,
    R: message.recipients.map(rowOf),
  };
}

function rowOf({ forwardPath, domain, destination, notify, orcpt }: NewRecipient): RecipientRow {
  const row = [forwardPath, domain, destination, encodeNotify(notify)] as const;
  return orcpt === undefined ? row : [...row, orcpt];
}

/** @throws QueueStoreError: it is not what we write */
export function parseRecord(json: string): StoredRecord {
  const value: unknown = JSON.parse(json);
  if (!isRecord(value)) throw new QueueStoreError('POSTROAD_QUEUE_CORRUPT', 'The queue holds a record it cannot have.');
  return value;
}

function isRecord(value: unknown): value is StoredRecord {
  if (typeof value !== 'object' || value === null) return false;
  return 't' in value && 's' in value && 'z' in value && 'R' in value && Array.isArray(value.R);
}

export function messageRecordOf(id: string, record: StoredRecord): MessageRecord {
  return {
    id,
    sender: record.s,
    tenant: record.t,
    policy: record.p,
    ...(record.l === undefined ? {} : { tls: record.l }),
    receivedTimeMs: record.rt,
    expiryTimeMs: record.e,
  };
}

/** @throws QueueStoreError */
export function queuedRecipientOf(record: StoredRecord, index: number, state: OwnState): QueuedRecipient {
  const row = record.R[index];
  if (row === undefined) throw new QueueStoreError('POSTROAD_QUEUE_CORRUPT', `A message has no recipient ${index}.`);
  const [forwardPath, domain, destination, notify, orcpt] = row;
  return {
    forwardPath,
    domain,
    destination,
    notify: decodeNotify(notify),
    index,
    attempts: state.attempts,
    delayWarned: state.warned,
    ...(orcpt === undefined ? {} : { orcpt }),
  };
}

export interface OwnState {
  readonly attempts: number;
  readonly warned: boolean;
  /** By the server's clock; 0: as its message was received. */
  readonly due: number;
  readonly reason: string;
  readonly reply: string;
}

/** `messages.lua` writes it; empty where there is nothing to say. */
export function parseOwnState(text: string): OwnState {
  const [, attempts = '0', warned = '0', due = '0', reason = '', ...reply] = text.split('\n');
  return { attempts: Number(attempts), warned: warned === '1', due: Number(due), reason, reply: reply.join('\n') };
}

/** Below this its own overhead eats what it saves. */
const leastBytes = 256;
/** Of 1: what compressing must leave at most, or reading it costs more than its memory is worth. */
const worthwhile = 0.9;
const zstd = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Undefined where it does not pay. */
export function compress(bytes: Buffer): Buffer | undefined {
  if (bytes.length < leastBytes) return undefined;
  const packed = zstdCompressSync(bytes, zstd);
  return packed.length <= bytes.length * worthwhile ? packed : undefined;
}

export function decompress(packed: Buffer, mostBytes: number): Buffer {
  return zstdDecompressSync(packed, { maxOutputLength: Math.max(1, mostBytes) });
}
