import { LeaseLostError, QueueFullError } from '../queue.ts';

/**
 * What can be wrong with the store itself; each code has a section in the runbook.
 *
 *   DATA_FOLDER_IN_USE  another process owns the folder: nothing was touched
 *   QUEUE_CORRUPT       the database does not hold together: refused as it is, never recreated
 *   QUEUE_NEWER         written by a newer version of this program
 *   QUEUE_FAULT         the disk or the worker failed while running: the owner should restart the process
 *   QUEUE_CLOSED        asked after close()
 *   QUEUE_REFUSED       the request makes no sense (a message without recipients, an id used twice): the caller's bug
 *   QUEUE_UNAVAILABLE   Redis is away, or did not answer in time
 *   QUEUE_UNSAFE        Redis would not keep mail as `durability` asks
 */
export type StoreErrorCode =
  | 'POSTROAD_DATA_FOLDER_IN_USE'
  | 'POSTROAD_QUEUE_CORRUPT'
  | 'POSTROAD_QUEUE_NEWER'
  | 'POSTROAD_QUEUE_FAULT'
  | 'POSTROAD_QUEUE_CLOSED'
  | 'POSTROAD_QUEUE_REFUSED'
  | 'POSTROAD_QUEUE_UNAVAILABLE'
  | 'POSTROAD_QUEUE_UNSAFE';

export class QueueStoreError extends Error {
  override name = 'QueueStoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, text: string, options?: ErrorOptions) {
    super(text, options);
    this.code = code;
  }
}

/** An error on its way between the threads: classes do not survive the passage, codes do. */
export interface Failure {
  readonly code: string;
  readonly text: string;
}

export function toFailure(error: unknown): Failure {
  if (!(error instanceof Error)) return { code: 'POSTROAD_QUEUE_FAULT', text: String(error) };
  if (error instanceof QueueStoreError || error instanceof QueueFullError || error instanceof LeaseLostError) {
    return { code: error.code, text: error.message };
  }
  if (isFull(error)) return { code: 'POSTROAD_QUEUE_FULL', text: 'The queue has no room: the disk is full.' };
  // An id used twice, or a value that is none.
  if (primaryCode(error) === sqlite.constraint) return { code: 'POSTROAD_QUEUE_REFUSED', text: error.message };
  return { code: 'POSTROAD_QUEUE_FAULT', text: error.message };
}

const storeErrorCodes: readonly string[] = [
  'POSTROAD_DATA_FOLDER_IN_USE',
  'POSTROAD_QUEUE_CORRUPT',
  'POSTROAD_QUEUE_NEWER',
  'POSTROAD_QUEUE_CLOSED',
  'POSTROAD_QUEUE_REFUSED',
] satisfies StoreErrorCode[];

function isStoreErrorCode(code: string): code is StoreErrorCode {
  return storeErrorCodes.includes(code);
}

export function fromFailure({ code, text }: Failure): Error {
  if (code === 'POSTROAD_QUEUE_FULL') return new QueueFullError(text);
  if (code === 'POSTROAD_LEASE_LOST') return new LeaseLostError(text);
  return new QueueStoreError(isStoreErrorCode(code) ? code : 'POSTROAD_QUEUE_FAULT', text);
}

/** Primary result codes of SQLite; the upper bytes of an extended code tell the detail. */
const sqlite = {
  busy: 5,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  constraint: 19,
  notADatabase: 26,
} as const;

function primaryCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}

export function isBusy(error: unknown): boolean {
  return primaryCode(error) === sqlite.busy;
}

export function isFull(error: unknown): boolean {
  if (primaryCode(error) === sqlite.full) return true;
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

export function isCorrupt(error: unknown): boolean {
  const code = primaryCode(error);
  return code === sqlite.corrupt || code === sqlite.notADatabase;
}

/** After these nobody knows what the disk holds until the file is opened anew. */
export function isFault(error: unknown): boolean {
  const code = primaryCode(error);
  return isCorrupt(error) || code === sqlite.ioError || code === sqlite.readOnly || code === sqlite.cannotOpen;
}
