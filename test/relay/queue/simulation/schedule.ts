/**
 * One schedule: relays that enqueue, claim, settle, renew, crash, pause and wake on one queue, each with a clock of its own, over a network that
 * loses and delays, in an order that a seed decides. Half of the queues have several partitions, and a relay is cut off from one of them at times.
 * Whatever happened, the books are right at every step, no recipient is settled twice, nobody is given what another still holds or is sure of, and in
 * the end a relay that comes last finds all that is left, and nothing stays behind.
 * In one file, since each step reads and changes the one world that the others do.
 */
import assert from 'node:assert/strict';
import { type Claim, LeaseLostError, type NewMessage, type Outcome } from '../../../../relay/queue/queue.ts';
import { Administration } from '../../../../relay/queue/redis/administration.ts';
import type { InTime } from '../../../../relay/queue/redis/attention.ts';
import { Claiming } from '../../../../relay/queue/redis/claiming.ts';
import type { Asking } from '../../../../relay/queue/redis/conversation.ts';
import { type Partition, partitionOf } from '../../../../relay/queue/redis/keys.ts';
import { Life } from '../../../../relay/queue/redis/life.ts';
import { Owner, ownerTtlMs } from '../../../../relay/queue/redis/owner.ts';
import { RedisQueue } from '../../../../relay/queue/redis/store.ts';
import { Withdrawals } from '../../../../relay/queue/redis/withdrawals.ts';
import { QueueStoreError } from '../../../../relay/queue/sqlite/errors.ts';
import type { SpoolPlace } from '../../../../relay/queue/sqlite/spool.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
import { message, to } from '../messages.ts';
import { Ledger } from './ledger.ts';
import { LossyConversation, type Network, type ScriptServer } from './server.ts';

const relays = 3;
const leaseMs = 30_000;
const longestSkewMs = 3_600_000;
const domains = ['a.example', 'b.example'];
/** As one script call, where neither is lost. */
const twice = [1, 2];

interface Opened {
  queue: RedisQueue;
  life: Life;
  /** Partitions that do not hear it. */
  cut: Set<number>;
}

interface Relay extends Opened {
  readonly skewMs: number;
  claims: Claim[];
  paused: boolean;
  readonly under: Set<Promise<void>>;
}

export class Schedule {
  readonly #server: ScriptServer;
  readonly #random: () => number;
  readonly #partitions: readonly [Partition, ...Partition[]];
  readonly #relays: Relay[];
  readonly #ledger = new Ledger();
  readonly #late: (() => void)[] = [];
  /** Who waits for answers no longer than those take that are under way. */
  readonly #impatient = new Set<() => void>();
  /** For the control: a relay that is heard in one partition takes that for all. */
  readonly #eras: boolean;
  readonly #seed: number;
  #nowMs = 1_800_000_000_000;
  #messages = 0;
  /** Questions that are with the server. */
  #answering = 0;
  #calm = false;
  #fault: unknown;

  constructor(server: ScriptServer, seed: number, { eras = true } = {}) {
    this.#server = server;
    this.#seed = seed;
    this.#random = seededRandom(seed);
    this.#eras = eras;
    const count = seed % 2 === 0 ? 3 : 1;
    const [first = partitionOf(`s${seed}:`, 0, 1), ...others] = Array.from({ length: count }, (_, n) =>
      partitionOf(`s${seed}:`, n, count),
    );
    this.#partitions = [first, ...others];
    this.#relays = Array.from({ length: relays }, () => {
      const skewMs = Math.floor((this.#random() - 0.5) * 2 * longestSkewMs);
      return { ...this.#open(skewMs), skewMs, claims: [], paused: false, under: new Set<Promise<void>>() };
    });
  }

  /** @throws AssertionError naming the seed */
  async run(steps: number): Promise<void> {
    try {
      for (let step = 0; step < steps; step += 1) {
        await this.#step();
        if (step % 4 === 0) await this.#balanced();
      }
      await this.#end();
    } catch (error) {
      if (error instanceof Error) error.message = `seed ${this.#seed}: ${error.message}`;
      throw error;
    }
  }

  async #step(): Promise<void> {
    const what = this.#random();
    // Mostly less than the silence after which all owners have their time again: else none of them would ever count as dead.
    if (what < 0.04) this.#nowMs += Math.floor(this.#random() * ownerTtlMs * 1.5);
    else if (what < 0.3) this.#nowMs += Math.floor(this.#random() * ownerTtlMs * 0.4);
    const relay = this.#relays[Math.floor(this.#random() * relays)];
    if (relay === undefined) return;
    if (relay.paused) {
      relay.paused = this.#random() < 0.7;
      return;
    }
    await this.#act(relay);
    await this.#letSomeArrive();
  }

  async #act(relay: Relay): Promise<void> {
    const what = this.#random();
    if (what < 0.06) this.#crash(relay);
    else if (what < 0.14) relay.paused = true;
    else if (what < 0.4) await Promise.all(twice.map(() => this.#under(relay, () => this.#enqueue(relay))));
    else if (what < 0.62) await this.#under(relay, () => this.#claim(relay));
    else if (what < 0.84) await Promise.all(twice.map(() => this.#under(relay, () => this.#settle(relay))));
    else if (what < 0.9) await this.#under(relay, () => this.#renew(relay));
    else this.#cutOff(relay);
    if (this.#random() < 0.5) await this.#under(relay, () => this.#beat(relay));
  }

  /** From a partition of which it has something, so that others take that over. */
  #cutOff({ queue, claims, cut }: Relay): void {
    if (this.#partitions.length === 1 || (cut.size > 0 && this.#random() < 0.7)) return;
    const [claim] = claims;
    if (cut.size > 0 || claim === undefined) cut.clear();
    else cut.add(queue.leasePart(claim.token));
  }

  async #beat({ life }: Relay): Promise<void> {
    await Promise.all(this.#partitions.map(partition => this.#lossy(() => life.beat(partition))));
  }

  /** Until it is done, or late: a relay does not wait for that. */
  async #under(relay: Relay, work: () => Promise<void>): Promise<void> {
    const running = work().finally(() => relay.under.delete(running));
    relay.under.add(running);
    running.catch(error => {
      this.#fault ??= error;
    });
    await this.#quiet();
  }

  /** Whatever is under way waits for what is late: the order of all that follows is the schedule's alone. */
  async #quiet(): Promise<void> {
    do {
      await new Promise(resolve => setImmediate(resolve));
      if (this.#answering === 0) for (const giveUp of this.#impatient) giveUp();
    } while ((this.#answering > 0 || this.#impatient.size > 0) && this.#fault === undefined);
    if (this.#fault !== undefined) throw this.#fault;
  }

  readonly #inTime: InTime = async work => {
    const { promise, resolve } = Promise.withResolvers<'late'>();
    const giveUp = (): void => resolve('late');
    this.#impatient.add(giveUp);
    try {
      return (await Promise.race([Promise.all(work), promise])) !== 'late';
    } finally {
      this.#impatient.delete(giveUp);
    }
  };

  readonly #untilAnswered = async <T>(answer: Promise<T>): Promise<T> => {
    this.#answering += 1;
    try {
      return await answer;
    } finally {
      this.#answering -= 1;
    }
  };

  async #enqueue(relay: Relay): Promise<void> {
    const { queue } = relay;
    const sent = this.#message();
    const leased = this.#random() < 0.5;
    const stored = await this.#lossy(() => queue.enqueue(sent, leased ? { leaseMs } : undefined));
    this.#ledger.enqueued(sent, stored !== undefined);
    // A process that crashed meanwhile has nothing.
    if (stored === undefined || relay.queue !== queue) return;
    for (const claim of stored) this.#hold(relay, claim);
  }

  async #claim(relay: Relay): Promise<void> {
    const { queue } = relay;
    const limit = 1 + Math.floor(this.#random() * 5);
    const claims = await this.#lossy(() => queue.claim({ limit, limitPerDestination: 5, leaseMs }));
    if (relay.queue !== queue) return;
    for (const claim of claims ?? []) this.#hold(relay, claim);
  }

  #hold(relay: Relay, claim: Claim): void {
    this.#ledger.leased(claim, { expiryMs: this.#nowMs + leaseMs, isSure: this.#isSure(relay, claim) });
    relay.claims.push(claim);
  }

  async #settle(relay: Relay): Promise<void> {
    const { queue } = relay;
    const claim = relay.claims[Math.floor(this.#random() * relay.claims.length)];
    // Such a delivery begins late, when others may have it.
    if (claim === undefined || (relay.cut.has(queue.leasePart(claim.token)) && this.#random() < 0.8)) return;
    relay.claims = relay.claims.filter(each => each !== claim);
    if (this.#isSure(relay, claim)) this.#ledger.sure(claim);
    const outcomes = claim.recipients.map(({ index }) => this.#outcome(index, relay.skewMs));
    const messages = outcomes.some(({ result }) => result === 'Failed') ? [this.#message()] : [];
    this.#ledger.settling(claim);
    try {
      await queue.settle({ claim, outcomes, messages });
      this.#ledger.settled(claim, outcomes, 'acknowledged');
    } catch (error) {
      if (error instanceof LeaseLostError) {
        this.#ledger.settled(claim, outcomes, error.message.includes('first answer was lost') ? 'unknown' : 'refused');
      } else if (isLost(error)) this.#ledger.settled(claim, outcomes, 'unknown');
      else throw error;
    }
    for (const sent of messages) this.#ledger.enqueued(sent, false);
  }

  /** As the scheduler asks before it begins a delivery. */
  #isSure({ queue, life, skewMs }: Relay, claim: Claim): boolean {
    if (claim.leaseExpiryTimeMs <= this.#nowMs + skewMs) return false;
    if (!this.#eras) return this.#partitions.some(partition => life.sure(partition));
    return queue.leaseEra(queue.leasePart(claim.token)) === claim.leaseEra;
  }

  #outcome(index: number, skewMs: number): Outcome {
    const what = this.#random();
    if (what < 0.5) return { index, result: 'Delivered' };
    if (what < 0.65) return { index, result: 'Failed', reason: 'Test' };
    const nextAttemptTimeMs = this.#nowMs + skewMs + Math.floor(this.#random() * 2000);
    return { index, result: 'Deferred', reason: 'Test', nextAttemptTimeMs, attempted: true, delayWarned: false };
  }

  async #renew(relay: Relay): Promise<void> {
    const byPart = Map.groupBy(relay.claims, ({ token }) => relay.queue.leasePart(token));
    await Promise.all([...byPart].map(([part, claims]) => this.#renewPart(relay, part, claims)));
  }

  async #renewPart(relay: Relay, part: number, claims: readonly Claim[]): Promise<void> {
    const { queue, skewMs } = relay;
    const tokens = claims.map(({ token }) => token);
    const [leaseEra, leaseExpiryTimeMs] = [queue.leaseEra(part) ?? -1, this.#nowMs + skewMs + leaseMs];
    const lost = await this.#lossy(() => queue.renew(tokens, leaseMs));
    if (lost === undefined || relay.queue !== queue) return;
    const kept = new Set(tokens.filter(token => !lost.includes(token)));
    for (const token of kept) this.#ledger.renewed(token, this.#nowMs + leaseMs);
    const left = relay.claims.filter(({ token }) => kept.has(token) || !tokens.includes(token));
    relay.claims = left.map(claim => (kept.has(claim.token) ? { ...claim, leaseEra, leaseExpiryTimeMs } : claim));
  }

  /** A new one takes its place. What it had asked may still arrive. */
  #crash(relay: Relay): void {
    Object.assign(relay, this.#open(relay.skewMs));
    relay.claims = [];
    relay.paused = false;
  }

  /** Undefined: nobody knows. */
  async #lossy<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      if (isLost(error)) return undefined;
      throw error;
    }
  }

  async #letSomeArrive(): Promise<void> {
    while (this.#late.length > 0 && (this.#calm || this.#random() < 0.3)) {
      this.#late.shift()?.();
      await this.#quiet();
    }
  }

  async #balanced(): Promise<void> {
    const { totals, depth } = await this.#clerk().stats();
    const gone = totals.delivered + totals.failed + totals.discarded;
    assert.equal(totals.accepted, gone + depth.Waiting + depth.Leased + depth.Held, 'conservation');
    assert.ok(
      Object.values(depth).every(count => count >= 0),
      `depth ${JSON.stringify(depth)}`,
    );
  }

  /** Everyone dies; whoever comes last must find all that is left. */
  async #end(): Promise<void> {
    this.#calm = true;
    await this.#letSomeArrive();
    const { queue: last } = this.#open(0);
    for (let turn = 0; (await this.#clerk().count({})) > 0; turn += 1) {
      assert.ok(turn < 40, `${await this.#clerk().count({})} recipients are stuck`);
      this.#nowMs += 4000;
      const claims = await last.claim({ limit: 1000, limitPerDestination: 1000, leaseMs });
      for (const claim of claims) {
        this.#ledger.leased(claim, { expiryMs: this.#nowMs + leaseMs, isSure: true });
        this.#ledger.settling(claim);
        const outcomes = claim.recipients.map(({ index }): Outcome => ({ index, result: 'Delivered' }));
        await last.settle({ claim, outcomes, messages: [] });
        this.#ledger.settled(claim, outcomes, 'acknowledged');
      }
    }
    await this.#balanced();
    this.#ledger.close((await this.#clerk().stats()).totals);
    await last.close();
    for (const partition of this.#partitions) await this.#nothingStays(partition);
  }

  async #nothingStays({ base }: Partition): Promise<void> {
    const owners = await this.#server.send(['ZCARD', `${base}owners`]);
    // Owners that died without a lease are forgotten by the next claim.
    const keys = (await this.#server.send(['KEYS', `${base}*`])) as Buffer[];
    const left = keys
      .map(String)
      .filter(key => key !== `${base}meta` && key !== `${base}owners` && !/:(?:gone|taken):/.test(key));
    assert.deepEqual(left, [], 'keys stay behind');
    assert.ok(Number(owners) <= 100);
    if (keys.length > 0) await this.#server.send(['DEL', ...keys]);
  }

  #message(): NewMessage {
    this.#messages += 1;
    const count = 1 + Math.floor(this.#random() * 3);
    const recipients = Array.from({ length: count }, (_, n) => to(`u${n}@${domains[Math.floor(this.#random() * 2)]}`));
    const clock = { now: () => this.#nowMs, sleep: () => Promise.reject(new Error('nobody sleeps')) };
    return message(clock, {
      id: `m${String(this.#messages).padStart(4, '0')}`,
      recipients,
      tenant: this.#random() < 0.5 ? 't' : 'u',
    });
  }

  #clerk(): Administration {
    const network: Network = {
      ...{ nowMs: () => this.#nowMs, answering: this.#untilAnswered },
      ...{ fate: () => 'arrives', later: () => Promise.resolve() },
    };
    const conversation = new LossyConversation(this.#server, network);
    const inTime: InTime = async work => (await Promise.all(work)).length > 0;
    return new Administration({ conversation, partitions: this.#partitions, nowMs: () => this.#nowMs, inTime });
  }

  #open(skewMs: number): Opened {
    const cut = new Set<number>();
    const network: Network = {
      nowMs: () => this.#nowMs,
      fate: partition => {
        if (!this.#calm && cut.has(partition)) return 'question lost';
        const what = this.#calm ? 1 : this.#random();
        if (what < 0.04) return 'question lost';
        if (what < 0.09) return 'answer lost';
        return what < 0.16 ? 'late' : 'arrives';
      },
      later: () => new Promise(resolve => this.#late.push(resolve)),
      answering: this.#untilAnswered,
    };
    const conversation: Asking = new LossyConversation(this.#server, network);
    const parts = {
      conversation,
      partitions: this.#partitions,
      owner: new Owner(),
      nowMs: () => this.#nowMs + skewMs,
      monotonicMs: () => this.#nowMs,
      inTime: this.#inTime,
    };
    // Contents here are small: nothing is spooled.
    const place = {} as SpoolPlace;
    const life = new Life(parts);
    const withdrawals = new Withdrawals(conversation);
    const queue = new RedisQueue({
      ...parts,
      claiming: new Claiming({ ...parts, life, withdrawals }),
      administration: new Administration(parts),
      life,
      withdrawals,
      place,
      stop: () => undefined,
    });
    return { queue, life, cut };
  }
}

function isLost(error: unknown): boolean {
  return error instanceof QueueStoreError && error.code === 'POSTROAD_QUEUE_UNAVAILABLE';
}
