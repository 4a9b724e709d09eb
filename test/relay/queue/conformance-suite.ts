import assert from 'node:assert/strict';
import type { Claim, Queue } from '../../../relay/queue/queue.ts';
import { everything, type TestClock } from './messages.ts';

export interface Harness {
  readonly queue: Queue;
  readonly clock: TestClock;
  /** The owner is gone, its leases with it, and a new one opens what it left. */
  reopen(): Promise<Harness>;
  /** Closes what is open and removes what was made. */
  end(): Promise<void>;
}

/** The store under test, a fresh one for each test. */
export class Suite {
  readonly store: string;
  readonly #open: () => Promise<Harness>;
  #harness: Harness | undefined;

  constructor(store: string, open: () => Promise<Harness>) {
    this.store = store;
    this.#open = open;
  }

  get queue(): Queue {
    return this.#now.queue;
  }

  get clock(): TestClock {
    return this.#now.clock;
  }

  async begin(): Promise<void> {
    this.#harness = await this.#open();
  }

  async reopen(): Promise<void> {
    this.#harness = await this.#now.reopen();
  }

  async end(): Promise<void> {
    await this.#harness?.end();
    this.#harness = undefined;
  }

  /** Everything that is due. */
  claimed(): Promise<Claim[]> {
    return this.queue.claim(everything);
  }

  /** G3, and that what is counted is what is there. */
  async conserved(): Promise<void> {
    const { totals, depth } = await this.queue.stats();
    const gone = totals.delivered + totals.failed + totals.discarded;
    assert.equal(totals.accepted, gone + depth.Waiting + depth.Leased + depth.Held);
    for (const state of ['Waiting', 'Leased', 'Held'] as const) {
      assert.equal((await this.queue.list({ state }, { limit: 1000 })).items.length, depth[state], state);
    }
  }

  get #now(): Harness {
    if (this.#harness === undefined) throw new Error('No store is open.');
    return this.#harness;
  }
}
