/**
 * One transaction for everything that has arrived: one sync of the disk for all of it.
 *
 *   plain     no savepoints; what an operation refuses, it refuses before it writes
 *     │ something was thrown half-way, or the commit failed: all is rolled back, on disk and in memory
 *   careful   again, each operation in a savepoint: the bad one is refused alone
 *     │ the disk is full
 *   lean      again, without what makes the queue grow: settlements still get through and make room
 *     │
 *   refused   every operation gets the error
 */
import type { DatabaseSync } from 'node:sqlite';
import { LeaseLostError, QueueFullError } from '../queue.ts';
import { isFault, isFull, QueueStoreError, toFailure } from './errors.ts';
import type { Memory } from './memory.ts';
import type { Circumstances, Operations } from './operations.ts';
import type { Op, Result } from './wire.ts';

export interface Request {
  readonly op: Op;
  readonly circumstances: Circumstances;
}

export interface Committed {
  /** In the order of the requests. */
  readonly results: readonly Result[];
  /** Spool files that no row names any more. */
  readonly doomedFiles: readonly string[];
  /** Set when the store cannot be trusted any more and has to be opened anew. */
  readonly fault?: Error;
}

export type Transaction = (requests: readonly Request[]) => Committed;

type Attempted =
  | { readonly committed: Committed; readonly error: undefined }
  | { readonly committed: undefined; readonly error: unknown };

const success: Result = { value: undefined };

export function createTransaction(db: DatabaseSync, memory: Memory, operations: Operations): Transaction {
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const rollback = db.prepare('ROLLBACK');
  const savepoint = db.prepare('SAVEPOINT operation');
  const release = db.prepare('RELEASE operation');
  const rollbackTo = db.prepare('ROLLBACK TO operation');

  function attempt(requests: readonly Request[], run: (request: Request) => Result): Committed {
    const mark = memory.mark();
    begin.run();
    try {
      const results = requests.map(run);
      operations.saveTotals();
      commit.run();
      return { results, doomedFiles: memory.committed() };
    } catch (error) {
      if (db.isTransaction) rollback.run();
      memory.undo(mark, operations.earliestDue);
      operations.forgetSavedTotals();
      throw error;
    }
  }

  function plain({ op, circumstances }: Request): Result {
    try {
      const value = operations.execute(op, circumstances);
      return value === undefined ? success : { value };
    } catch (error) {
      if (isRefusal(error)) return { failure: toFailure(error) };
      throw error;
    }
  }

  function careful(request: Request): Result {
    const mark = memory.mark();
    savepoint.run();
    try {
      const result = plain(request);
      release.run();
      return result;
    } catch (error) {
      // SQLite ends the whole transaction by itself after some errors: then there is no savepoint to go back to.
      if (!db.isTransaction || isFull(error) || isFault(error)) throw error;
      rollbackTo.run();
      release.run();
      memory.undo(mark, operations.earliestDue);
      return { failure: toFailure(error) };
    }
  }

  function lean(request: Request): Result {
    const { op } = request;
    const grows = op.op === 'enqueue' || op.op === 'probe' || (op.op === 'settle' && op.messages.length > 0);
    return grows
      ? { failure: toFailure(new QueueFullError('The queue has no room: the disk is full.')) }
      : careful(request);
  }

  function refused(requests: readonly Request[], error: unknown): Committed {
    const failure = toFailure(error);
    const results = requests.map((): Result => ({ failure }));
    if (isFull(error)) return { results, doomedFiles: [] };
    return { results, doomedFiles: [], fault: error instanceof Error ? error : new Error(String(error)) };
  }

  function attemptOrError(requests: readonly Request[], run: (request: Request) => Result): Attempted {
    try {
      return { committed: attempt(requests, run), error: undefined };
    } catch (error) {
      return { committed: undefined, error };
    }
  }

  return requests => {
    let attempted = attemptOrError(requests, plain);
    const mayBeOneAlone = attempted.committed === undefined && !isFull(attempted.error) && !isFault(attempted.error);
    if (mayBeOneAlone) attempted = attemptOrError(requests, careful);
    if (isFull(attempted.error)) attempted = attemptOrError(requests, lean);
    return attempted.committed ?? refused(requests, attempted.error);
  };
}

/** Said before anything was written, so the transaction goes on. */
function isRefusal(error: unknown): boolean {
  if (error instanceof LeaseLostError || error instanceof QueueFullError) return true;
  return error instanceof QueueStoreError && error.code === 'POSTROAD_QUEUE_REFUSED';
}
