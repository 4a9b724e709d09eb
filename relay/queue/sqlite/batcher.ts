/**
 * Gathers the operations of a turn of the event loop into one message for the worker, and gives each its answer. Two batches
 * are under way at most: one that the worker commits and one that waits for it; what comes meanwhile gathers for the next.
 */
import { Worker } from 'node:worker_threads';
import { fromFailure, QueueStoreError } from './errors.ts';
import type { Answers, Batch, FromWorker, MessageRow, Op, Result, ToWorker, WorkerOptions } from './wire.ts';

export interface BatcherOptions {
  readonly worker: WorkerOptions;
  readonly nowMs: () => number;
  readonly minFreeBytes: () => number;
  /** Called once when the store can no longer be trusted: the owner should end the process, and let the next one recover. */
  readonly onFault: (error: Error) => void;
}

type OpOf<Name extends Op['op']> = Extract<Op, { op: Name }>;

interface Waiting {
  readonly op: Op;
  /** Head and inline content of each message the operation brings. */
  readonly pieces: readonly Uint8Array[];
  readonly sizeBytes: number;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const mostBatches = 2;
/** A batch ends here, so that one transaction never outgrows the write-ahead log. */
const batchBytes = 4 * 2 ** 20;
const batchOps = 4000;
/**
 * Where messages come one after the other, a settlement waits for the next to share its transaction: by itself it would keep the disk busy just when
 * that message needs it, and a session that sends one at a time would wait for two syncs a message. Its wait is added to the time in which a crash delivers
 * twice (G2), so it is short, and begins only when a message came not long ago.
 */
const patienceMs = 5;
const flowMs = 1000;
/** So many settlements are worth a transaction of their own. */
const mostPatient = 64;
/** What the worker makes lives no longer than a batch: 10-20 MiB less than with V8's own choice, for no more CPU. */
const youngMib = 4;

export class Batcher {
  readonly #worker: Worker;
  readonly #options: BatcherOptions;
  readonly #waiting: Waiting[] = [];
  readonly #posted = new Map<number, readonly Waiting[]>();
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  readonly #closed = Promise.withResolvers<void>();
  /** Until the worker has opened the store or said why not. */
  #opening: PromiseWithResolvers<number> | undefined = Promise.withResolvers();
  #batch = 0;
  #scheduled = false;
  /** Something waits that is not to wait for more. */
  #urgent = false;
  #patience: NodeJS.Timeout | undefined;
  #lastMessageMs = Number.NEGATIVE_INFINITY;
  #ending: Error | undefined;
  #closing = false;

  private constructor(options: BatcherOptions) {
    this.#options = options;
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: options.worker,
      name: 'queue',
      resourceLimits: { maxYoungGenerationSizeMb: youngMib },
    });
    this.#worker.on('message', (message: FromWorker) => this.#hear(message));
    this.#worker.on('error', error => this.#fault(asError(error)));
    this.#worker.on('exit', code => this.#exited(code));
  }

  /** Resolves with the number of this opening. @throws QueueStoreError */
  static async open(options: BatcherOptions): Promise<{ batcher: Batcher; epoch: number }> {
    const batcher = new Batcher(options);
    const opening = batcher.#opening?.promise;
    return { batcher, epoch: (await opening) ?? 0 };
  }

  do<Name extends Op['op']>(op: OpOf<Name>, pieces: readonly Uint8Array[] = []): Promise<Answers[Name]> {
    if (this.#ending !== undefined) return Promise.reject(this.#ending);
    if (this.#closing) return Promise.reject(new QueueStoreError('POSTROAD_QUEUE_CLOSED', 'The queue is closed.'));
    return new Promise<Answers[Name]>((resolve, reject) => {
      let sizeBytes = 0;
      for (const piece of pieces) sizeBytes += piece.length;
      // The worker answers each operation with what `Answers` says for its name.
      this.#waiting.push({ op, pieces, sizeBytes, resolve: value => resolve(value as Answers[Name]), reject });
      if (this.#mayWait(op)) this.#patience ??= setTimeout(() => this.#hurry(), patienceMs);
      else this.#hurry();
    });
  }

  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#hurry();
    }
    await this.#closed.promise;
  }

  #mayWait(op: Op): boolean {
    if (messagesOf(op).length > 0) {
      this.#lastMessageMs = performance.now();
      return false;
    }
    return op.op === 'settle' && this.#waiting.length < mostPatient && performance.now() - this.#lastMessageMs < flowMs;
  }

  #hurry(): void {
    this.#urgent = true;
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#urgent || this.#scheduled || this.#posted.size >= mostBatches) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#post();
    });
  }

  #post(): void {
    if (this.#ending !== undefined || this.#posted.size >= mostBatches) return;
    if (this.#waiting.length > 0) {
      const taken = this.#take();
      const { batch, transfer } = this.#pack(taken);
      this.#posted.set(batch.batch, taken);
      this.#worker.postMessage(batch satisfies ToWorker, transfer);
      if (this.#waiting.length > 0) this.#schedule();
      else this.#rest();
    }
    if (this.#closing && this.#waiting.length === 0 && this.#posted.size === 0) {
      this.#worker.postMessage('close' satisfies ToWorker);
    }
  }

  #rest(): void {
    this.#urgent = this.#closing;
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }

  #take(): Waiting[] {
    let sizeBytes = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      sizeBytes += waiting.sizeBytes;
      if (count > 0 && (sizeBytes > batchBytes || count === batchOps)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  #pack(taken: readonly Waiting[]): { batch: Batch; transfer: readonly ArrayBuffer[] } {
    let sizeBytes = 0;
    for (const waiting of taken) sizeBytes += waiting.sizeBytes;
    const bytes = this.#buffer(sizeBytes);
    let at = 0;
    for (const { op, pieces } of taken) {
      let place = at;
      for (const piece of pieces) {
        bytes.set(piece, at);
        at += piece.length;
      }
      for (const message of messagesOf(op)) {
        message.at = place;
        place += message.headBytes + message.contentBytes;
      }
    }
    this.#batch += 1;
    const ops = JSON.stringify(taken.map(({ op }) => op));
    const { nowMs, minFreeBytes } = this.#options;
    const batch = { batch: this.#batch, ops, bytes, nowMs: nowMs(), minFreeBytes: minFreeBytes() };
    return { batch, transfer: [bytes.buffer] };
  }

  /** A buffer that came back is used again: fresh ones cost a page fault each 4 KiB. */
  #buffer(sizeBytes: number): Uint8Array<ArrayBuffer> {
    const spare = this.#spare.pop();
    if (spare !== undefined && spare.length >= sizeBytes) return spare;
    const kibs = Math.max(64, Math.ceil(sizeBytes / 1024));
    return new Uint8Array(new ArrayBuffer(2 ** Math.ceil(Math.log2(kibs)) * 1024));
  }

  #hear(message: FromWorker): void {
    switch (message.type) {
      case 'opened':
        this.#opening?.resolve(message.epoch);
        this.#opening = undefined;
        return;
      case 'refused':
        this.#end(fromFailure(message.failure));
        return;
      case 'answer':
        this.#answer(message.batch, message.results, message.bytes);
        return;
      case 'fault':
        this.#fault(fromFailure(message.failure));
        return;
      case 'closed':
        this.#end(new QueueStoreError('POSTROAD_QUEUE_CLOSED', 'The queue is closed.'));
        return;
    }
  }

  #answer(batch: number, results: readonly (readonly [number, Result])[], bytes: Uint8Array<ArrayBuffer>): void {
    const posted = this.#posted.get(batch) ?? [];
    this.#posted.delete(batch);
    if (this.#spare.length < mostBatches && bytes.length <= 2 * batchBytes) this.#spare.push(bytes);
    const told = new Map(results);
    for (const [index, waiting] of posted.entries()) {
      const result = told.get(index);
      if (result === undefined) waiting.resolve(undefined);
      else if ('failure' in result) waiting.reject(fromFailure(result.failure));
      else waiting.resolve(result.value);
    }
    if (this.#waiting.length > 0 || this.#closing) this.#schedule();
  }

  #fault(error: Error): void {
    if (this.#ending !== undefined) return;
    const opened = this.#opening === undefined;
    const fault = new QueueStoreError('POSTROAD_QUEUE_FAULT', `The queue has failed: ${error.message}`, {
      cause: error,
    });
    this.#end(fault);
    if (opened) this.#options.onFault(fault);
    void this.#worker.terminate();
  }

  #exited(code: number): void {
    if (this.#ending === undefined) this.#fault(new Error(`its thread ended with code ${code}`));
    this.#closed.resolve();
  }

  /** From now on every operation is refused with `error`, those under way included. */
  #end(error: Error): void {
    this.#ending = error;
    clearTimeout(this.#patience);
    this.#opening?.reject(error);
    const outstanding = [...[...this.#posted.values()].flat(), ...this.#waiting.splice(0)];
    this.#posted.clear();
    for (const waiting of outstanding) waiting.reject(error);
  }
}

function messagesOf(op: Op): readonly MessageRow[] {
  if (op.op === 'enqueue') return [op.message];
  return op.op === 'settle' ? op.messages : [];
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
