/** The store's thread: it alone touches the database, and it alone waits for the disk. See store.ts. */
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Database, openDatabase } from './database.ts';
import { isCorrupt, QueueStoreError, toFailure } from './errors.ts';
import { createOperations } from './operations.ts';
import { recover, removeOrphans } from './recover.ts';
import { createTransaction, type Request, type Transaction } from './transaction.ts';
import {
  type Batch,
  type FromWorker,
  type Op,
  type Result,
  spoolFolder,
  type ToWorker,
  type WorkerOptions,
} from './wire.ts';

interface Store {
  readonly database: Database;
  readonly transaction: Transaction;
}

function open({ dataDir, walBytes, nowMs }: WorkerOptions): Store {
  const database = openDatabase(dataDir, walBytes);
  try {
    const memory = recover(database.db, nowMs);
    removeOrphans(database.db, dataDir);
    const operations = createOperations(database, memory, dataDir);
    return { database, transaction: createTransaction(database.db, memory, operations) };
  } catch (error) {
    database.close();
    if (isCorrupt(error)) throw new QueueStoreError('POSTROAD_QUEUE_CORRUPT', String(error), { cause: error });
    throw error;
  }
}

/** Batches that arrived while the last was committed. 'close' stays for last. */
function drain(port: MessagePort, first: ToWorker): { batches: Batch[]; close: boolean } {
  const batches: Batch[] = [];
  let message: ToWorker | undefined = first;
  while (message !== undefined) {
    if (message === 'close') return { batches, close: true };
    batches.push(message);
    message = receiveMessageOnPort(port)?.message;
  }
  return { batches, close: false };
}

function serve(port: MessagePort, store: Store, dataDir: string): void {
  const say = (message: FromWorker, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
  const unlinking = new Set<Promise<void>>();

  /** Nothing names the file any more: should it not go now, the next start removes it, and no message fails because of it. */
  async function remove(file: string): Promise<void> {
    await Promise.allSettled([unlink(join(dataDir, spoolFolder, file))]);
  }

  function removeAll(files: readonly string[]): void {
    if (files.length === 0) return;
    const removing: Promise<void> = Promise.all(files.map(remove)).then(() => {
      unlinking.delete(removing);
    });
    unlinking.add(removing);
  }

  function run(batches: readonly Batch[]): void {
    const requests = batches.map(requestsOf);
    const all = requests.flat();
    const { results, doomedFiles, fault } = store.transaction(all);
    let from = 0;
    for (const [index, { batch, bytes }] of batches.entries()) {
      const to = from + (requests[index]?.length ?? 0);
      answer(batch, bytes, results.slice(from, to));
      from = to;
    }
    removeAll(doomedFiles);
    if (fault !== undefined) say({ type: 'fault', failure: toFailure(fault) });
    store.database.upkeep.run(all.some(({ op }) => op.op === 'claim'));
  }

  function answer(batch: number, bytes: Uint8Array<ArrayBuffer>, all: readonly Result[]): void {
    const results: [number, Result][] = [];
    const transfer = [bytes.buffer];
    for (const [index, result] of all.entries()) {
      if (!('failure' in result) && result.value === undefined) continue;
      results.push([index, result]);
      transfer.push(...contentsOf(result));
    }
    say({ type: 'answer', batch, results, bytes }, transfer);
  }

  async function close(): Promise<void> {
    await Promise.all(unlinking);
    store.database.close();
    say({ type: 'closed' });
    port.close();
  }

  port.on('message', (first: ToWorker) => {
    const { batches, close: closing } = drain(port, first);
    if (batches.length > 0) run(batches);
    if (closing) void close();
  });
}

function requestsOf({ ops, bytes, nowMs, minFreeBytes }: Batch): Request[] {
  // Written by the other thread of this very version: nothing to doubt.
  const list: Op[] = JSON.parse(ops);
  const circumstances = { bytes, nowMs, minFreeBytes };
  return list.map(op => ({ op, circumstances }));
}

/** Heads and contents of claims go over without a copy. */
function contentsOf(result: Result): ArrayBuffer[] {
  if ('failure' in result || typeof result.value !== 'object' || !('pieces' in result.value)) return [];
  return result.value.pieces.map(({ buffer }) => buffer);
}

function start(port: MessagePort, options: WorkerOptions): void {
  let store: Store;
  try {
    store = open(options);
  } catch (error) {
    port.postMessage({ type: 'refused', failure: toFailure(error) } satisfies FromWorker);
    return;
  }
  serve(port, store, options.dataDir);
  port.postMessage({ type: 'opened', epoch: store.database.epoch } satisfies FromWorker);
}

if (parentPort !== null) start(parentPort, workerData);
