/**
 * What the worker knows besides the database: leases, counters, and who is ready. It changes together with a transaction, so
 * each change can be taken back: leases and counters from a journal, ready slots by reading their due time anew.
 */
import type { QueueTotals, RecipientState } from '../queue.ts';
import { LeaseLostError } from '../queue.ts';
import { ReadyIndex } from './ready-index.ts';

/** Never changed in place: the journal keeps the former one. */
export interface Lease {
  readonly token: number;
  readonly id: string;
  readonly seq: number;
  readonly file: string | null;
  readonly tenant: string;
  readonly destination: string;
  readonly indices: readonly number[];
  /** When its recipients fell due. */
  readonly dueMs: number;
  readonly expiryMs: number;
  /**
   * Born leased: its rows say Leased and are not in recipient_due. Else they still say Waiting, and only memory knows better: a
   * claim writes nothing, and a crash leaves them due, as it should.
   */
  readonly onDisk: boolean;
}

export type Counters = { -readonly [K in keyof QueueTotals]: number } & Record<RecipientState, number>;

interface Mark {
  readonly leases: number;
  readonly files: number;
  readonly touched: number;
  readonly counters: Counters;
}

export class Memory {
  readonly ready = new ReadyIndex();
  readonly #leases = new Map<number, Lease>();
  /** Recipients that are leased though their rows say Waiting: indices by id. */
  readonly #leased = new Map<string, Set<number>>();
  /** Spool files of messages that are gone; to be unlinked after the commit. */
  readonly #doomedFiles: string[] = [];
  readonly #formerLeases: [token: number, former: Lease | undefined][] = [];
  readonly #touched: [tenant: string, destination: string][] = [];
  #counters: Counters;
  #earliestExpiryMs = Number.POSITIVE_INFINITY;
  #lastToken = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  get counters(): Counters {
    return this.#counters;
  }

  /** Even; the main thread gives odd ones to messages that are born leased. */
  nextToken(): number {
    this.#lastToken += 2;
    return this.#lastToken;
  }

  putLease(lease: Lease): void {
    this.#formerLeases.push([lease.token, this.#leases.get(lease.token)]);
    this.#set(lease.token, lease);
    if (lease.expiryMs < this.#earliestExpiryMs) this.#earliestExpiryMs = lease.expiryMs;
  }

  dropLease(lease: Lease): void {
    this.#formerLeases.push([lease.token, lease]);
    this.#set(lease.token, undefined);
  }

  /** Of a recipient whose row says Waiting. */
  isLeased(id: string, index: number): boolean {
    return this.#leased.size > 0 && this.#leased.get(id)?.has(index) === true;
  }

  lease(token: number): Lease | undefined {
    return this.#leases.get(token);
  }

  leaseOf(token: number, id: string): Lease {
    const lease = this.#leases.get(token);
    if (lease === undefined || lease.id !== id)
      throw new LeaseLostError('The lease has ended; its outcome was not kept.');
    return lease;
  }

  /** Looks through all leases only when the earliest known expiry has passed: about once a lease time, not once a batch. */
  expiredLeases(nowMs: number): Lease[] {
    if (nowMs < this.#earliestExpiryMs) return [];
    this.#earliestExpiryMs = this.earliestLeaseExpiry() ?? Number.POSITIVE_INFINITY;
    return [...this.#leases.values()].filter(lease => lease.expiryMs <= nowMs);
  }

  earliestLeaseExpiry(): number | undefined {
    let earliest: number | undefined;
    for (const { expiryMs } of this.#leases.values()) {
      if (earliest === undefined || expiryMs < earliest) earliest = expiryMs;
    }
    return earliest;
  }

  doom(file: string | null): void {
    if (file !== null) this.#doomedFiles.push(file);
  }

  /** The slot is not what it was when the transaction began. */
  touch(tenant: string, destination: string): void {
    this.#touched.push([tenant, destination]);
  }

  mark(): Mark {
    return {
      leases: this.#formerLeases.length,
      files: this.#doomedFiles.length,
      touched: this.#touched.length,
      counters: { ...this.#counters },
    };
  }

  /** `dueTimeMs` reads the earliest due time of a slot from the database, after it was rolled back. */
  undo(mark: Mark, dueTimeMs: (tenant: string, destination: string) => number | undefined): void {
    for (const [token, former] of this.#formerLeases.splice(mark.leases).reverse()) {
      this.#set(token, former);
    }
    this.#earliestExpiryMs = this.earliestLeaseExpiry() ?? Number.POSITIVE_INFINITY;
    this.#counters = mark.counters;
    this.#doomedFiles.splice(mark.files);
    for (const [tenant, destination] of this.#touched.splice(mark.touched)) {
      this.ready.set(tenant, destination, dueTimeMs(tenant, destination));
    }
  }

  /** Returns the files that nothing names any more. */
  committed(): string[] {
    this.#formerLeases.length = 0;
    this.#touched.length = 0;
    return this.#doomedFiles.splice(0);
  }

  #set(token: number, lease: Lease | undefined): void {
    const former = this.#leases.get(token);
    if (former?.onDisk === false) this.#unmark(former);
    if (lease?.onDisk === false) this.#markLeased(lease);
    if (lease === undefined) this.#leases.delete(token);
    else this.#leases.set(token, lease);
  }

  #markLeased({ id, indices }: Lease): void {
    const known = this.#leased.get(id);
    if (known === undefined) this.#leased.set(id, new Set(indices));
    else for (const index of indices) known.add(index);
  }

  #unmark({ id, indices }: Lease): void {
    const known = this.#leased.get(id);
    if (known === undefined) return;
    for (const index of indices) known.delete(index);
    if (known.size === 0) this.#leased.delete(id);
  }
}
