/**
 * Values as they come from disk. Tables are STRICT, so a wrong type means damage: it is said so instead of going on with
 * something else than what was stored.
 */
import type { SQLOutputValue } from 'node:sqlite';
import type { EnvelopeSender, Notify } from '../../smtp/envelope.ts';
import type { Reply } from '../../smtp/reply.ts';
import type { MessageRecord } from '../queue.ts';
import { QueueStoreError } from './errors.ts';

export type Row = Record<string, SQLOutputValue>;

/** A row by position: making an object of each row costs as much as finding it, so what claims read comes like this. */
export type Cells = readonly SQLOutputValue[];

/** Of a statement that was prepared with `returnArrays`. */
export function cellsOf(row: unknown): Cells {
  return Array.isArray(row) ? row : damaged('a row');
}

export function int(row: Row, column: string): number {
  return intOf(row[column], column);
}

export function text(row: Row, column: string): string {
  return textOf(row[column], column);
}

export function intOf(value: SQLOutputValue | undefined, column: string): number {
  return typeof value === 'number' ? value : damaged(column);
}

export function textOf(value: SQLOutputValue | undefined, column: string): string {
  return typeof value === 'string' ? value : damaged(column);
}

export function textOrNullOf(value: SQLOutputValue | undefined, column: string): string | null {
  return value === null ? null : textOf(value, column);
}

export function textOrNull(row: Row, column: string): string | null {
  return textOrNullOf(row[column], column);
}

export function bytesOf(value: SQLOutputValue | undefined, column: string): Uint8Array<ArrayBuffer> {
  if (!(value instanceof Uint8Array) || !(value.buffer instanceof ArrayBuffer)) return damaged(column);
  return new Uint8Array(value.buffer, value.byteOffset, value.length);
}

export function damaged(what: string): never {
  throw new QueueStoreError('POSTROAD_QUEUE_CORRUPT', `The queue holds a value it cannot have: ${what}.`);
}

/** RFC 3461 s4.1, one bit each; 0 stands for "the sender did not say". */
const notifyBits: readonly Notify[] = ['Never', 'Success', 'Failure', 'Delay'];

export function encodeNotify(notify: readonly Notify[]): number {
  let bits = 0;
  for (const word of notify) bits |= 1 << notifyBits.indexOf(word);
  return bits;
}

const none: readonly Notify[] = [];

export function decodeNotify(bits: number): readonly Notify[] {
  return bits === 0 ? none : notifyBits.filter((_, bit) => (bits & (1 << bit)) !== 0);
}

/** What the column `sender` holds. */
type Sent = Pick<MessageRecord, 'sender' | 'tls'>;

export function encodeSender({ sender, tls }: Sent): string {
  const { reversePath, body, smtputf8, requireTls, ret, envid } = sender;
  return JSON.stringify({ reversePath, body, smtputf8, requireTls, ret, envid, tls });
}

export function decodeSender(json: string): Sent {
  const value: unknown = JSON.parse(json);
  if (!isSender(value)) return damaged('sender');
  if (value.tls === undefined) return { sender: value };
  const { tls, ...sender } = value;
  return { sender, tls };
}

function isSender(value: unknown): value is EnvelopeSender & Pick<MessageRecord, 'tls'> {
  if (typeof value !== 'object' || value === null) return false;
  return 'reversePath' in value && typeof value.reversePath === 'object' && 'body' in value && 'smtputf8' in value;
}

export function decodeReply(json: string | null): Reply | null {
  if (json === null) return null;
  const value: unknown = JSON.parse(json);
  return isReply(value) ? value : damaged('reply');
}

function isReply(value: unknown): value is Reply {
  return (
    typeof value === 'object' && value !== null && 'code' in value && typeof value.code === 'number' && 'text' in value
  );
}
