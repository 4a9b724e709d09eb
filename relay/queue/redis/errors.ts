import { RedisFault } from '../../redis/errors.ts';
import { QueueFullError } from '../queue.ts';
import { QueueStoreError } from '../sqlite/errors.ts';
import { type TroubleReason, troubleReasons } from './durability.ts';

/** The server would not keep mail as was asked: nothing is taken until somebody changes it. */
export class QueueTroubleError extends QueueStoreError {
  readonly reason: TroubleReason;

  constructor(reason: TroubleReason) {
    super('POSTROAD_QUEUE_UNSAFE', `${reason}: ${troubleReasons[reason]}`);
    this.reason = reason;
  }
}

export function isUnavailable(error: unknown): error is QueueStoreError {
  return error instanceof QueueStoreError && error.code === 'POSTROAD_QUEUE_UNAVAILABLE';
}

/** Some partitions do not answer, while others do what was asked. */
export type OnAbsent = (operation: 'claim' | 'probe', fault: Error) => void;

/** What was asked may have been done, then or later. While Redis is away nothing is sent. */
export function mayHaveRun(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof RedisFault && error.cause.kind !== 'NotDone';
}

/** What the queue's callers know. */
export function toQueueError(error: unknown): Error {
  if (!(error instanceof RedisFault)) return error instanceof Error ? error : new Error(String(error));
  const options = { cause: error };
  if (error.kind === 'Full') return new QueueFullError(`The queue has no room: ${error.message}`, options);
  if (error.kind === 'Refused') return new QueueStoreError('POSTROAD_QUEUE_FAULT', error.message, options);
  return new QueueStoreError('POSTROAD_QUEUE_UNAVAILABLE', error.message, options);
}
