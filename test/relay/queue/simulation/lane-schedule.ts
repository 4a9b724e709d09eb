/**
 * One schedule of a lane that three relays share: they open and close connections, tell and are told, crash, pause and wake, over a network that
 * loses and delays. At every step those that may go on have no more connections together than the lane may; and in the end one that wants all of them
 * gets them.
 */
import assert from 'node:assert/strict';
import type { LaneSlots } from '../../../../relay/queue/lane-slots.ts';
import { partitionOf } from '../../../../relay/queue/redis/keys.ts';
import { RedisLanes } from '../../../../relay/queue/redis/lanes.ts';
import { Owner, ownerTtlMs } from '../../../../relay/queue/redis/owner.ts';
import { QueueStoreError } from '../../../../relay/queue/sqlite/errors.ts';
import { type LaneMember, MemberShare } from '../../../../relay/schedule/lane-share.ts';
import { seededRandom } from '../../../support/seeded-random.ts';
import { LossyConversation, type Network, type ScriptServer } from './server.ts';

const relays = 3;
const longestStepMs = 3000;

interface Relay {
  slots: LaneSlots;
  share: MemberShare;
  open: number;
  wants: number;
  paused: boolean;
  telling: symbol | undefined;
}

export class LaneSchedule {
  readonly #server: ScriptServer;
  readonly #random: () => number;
  readonly #seed: number;
  readonly #most: number;
  readonly #relays: Relay[];
  readonly #late: (() => void)[] = [];
  /** For the control: grants hold for as long as they like. */
  readonly #grantMs: number | undefined;
  #nowMs = 1_800_000_000_000;
  #calm = false;
  #telling = 0;
  #fault: unknown;
  most = 0;

  constructor(server: ScriptServer, seed: number, grantMs?: number) {
    this.#server = server;
    this.#seed = seed;
    this.#grantMs = grantMs;
    this.#random = seededRandom(seed);
    this.#most = 1 + this.#int(4);
    this.#relays = Array.from({ length: relays }, () => this.#start());
  }

  /** @throws AssertionError naming the seed */
  async run(steps: number): Promise<void> {
    try {
      for (let step = 0; step < steps; step += 1) {
        await this.#step();
        this.#within();
      }
      await this.#end();
    } catch (error) {
      if (error instanceof Error) error.message = `seed ${this.#seed}: ${error.message}`;
      throw error;
    }
  }

  async #step(): Promise<void> {
    const what = this.#random();
    if (what < 0.1) this.#nowMs += this.#int(ownerTtlMs * 1.5);
    else if (what < 0.35) this.#nowMs += this.#int(longestStepMs);
    while (this.#late.length > 0 && this.#random() < 0.3) await this.#arrive();
    const at = this.#int(relays);
    const relay = this.#relays[at];
    if (relay === undefined) return;
    if (relay.paused) relay.paused = this.#random() < 0.8;
    else if (what > 0.96) this.#relays[at] = this.#start();
    else if (what > 0.86) relay.paused = true;
    else await this.#act(relay);
  }

  async #act(relay: Relay): Promise<void> {
    this.#obey(relay);
    const what = this.#random();
    if (what < 0.3) relay.wants = this.#someWants();
    else if (what < 0.4) relay.open = Math.max(0, relay.open - 1);
    else if (relay.telling === undefined) await this.#tell(relay);
    else if (relay.open < Math.min(relay.share.may, relay.wants)) relay.open += 1;
  }

  /** What it does at once, as the lane does: ends what it may not have, makes what it may. */
  #obey(relay: Relay): void {
    relay.open = Math.min(relay.open, relay.share.may);
    if (this.#random() < 0.7) relay.open = Math.max(relay.open, Math.min(relay.share.may, relay.wants));
  }

  async #tell(relay: Relay): Promise<void> {
    const saidMs = this.#nowMs;
    const { share, slots } = relay;
    const word = share.word();
    const telling = Symbol('telling');
    relay.telling = telling;
    this.#telling += 1;
    slots
      .ask(0, [word])
      .then(
        // Whoever has given it up does not hear the answer.
        ([grant]) => grant !== undefined && relay.telling === telling && share.take(word, grant, saidMs),
        (error: unknown) => {
          if (!(error instanceof QueueStoreError)) this.#fault = error;
        },
      )
      .finally(() => {
        if (relay.telling === telling) relay.telling = undefined;
        this.#telling -= 1;
      });
    await this.#quiet();
    if (!this.#calm && this.#random() < 0.5) relay.telling = undefined;
  }

  async #arrive(): Promise<void> {
    this.#late.shift()?.();
    await this.#quiet();
  }

  async #quiet(): Promise<void> {
    while (this.#telling > this.#late.length && this.#fault === undefined)
      await new Promise(resolve => setImmediate(resolve));
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** One that is past its time ends what it has before it does anything else. */
  #within(): void {
    const open = this.#relays.map(({ share, open: its }) => (share.sure ? its : 0));
    const sum = open.reduce((total, its) => total + its, 0);
    this.most = Math.max(this.most, sum);
    assert.ok(sum <= this.#most, `${open.join(' + ')} connections of ${this.#most}`);
  }

  async #end(): Promise<void> {
    this.#calm = true;
    while (this.#late.length > 0) await this.#arrive();
    const [last] = this.#relays;
    assert.ok(last);
    for (const relay of this.#relays) {
      relay.paused = false;
      relay.wants = relay === last ? this.#most : 0;
    }
    for (let turn = 0; last.open < this.#most; turn += 1) {
      assert.ok(turn < 20, `${last.open} of ${this.#most} connections, and nobody else wants any`);
      this.#nowMs += 1000;
      for (const relay of this.#relays) {
        relay.open = Math.min(relay.open, relay.share.may, relay === last ? this.#most : 0);
        await this.#tell(relay);
        relay.open = Math.min(relay.share.may, relay.wants);
        this.#within();
      }
    }
  }

  #start(): Relay {
    const network: Network = {
      nowMs: () => this.#nowMs,
      fate: () => this.#fate(),
      later: () => new Promise(resolve => this.#late.push(resolve)),
    };
    const conversation = new LossyConversation(this.#server, network);
    const partitions = [partitionOf(`lane${this.#seed}:`, 0, 1)];
    const slots = new RedisLanes({ conversation, partitions, owner: new Owner() });
    const member: LaneMember = {
      key: 'lane',
      word: () => ({
        most: this.#most,
        open: relay.open,
        wants: relay.wants,
        works: relay.open > 0,
        proven: relay.open > 0,
      }),
      onShare: () => undefined,
      onRest: () => undefined,
      onStarved: () => undefined,
    };
    const grantMs = this.#grantMs ?? slots.grantMs;
    const share = new MemberShare(member, {
      monotonicMs: () => this.#nowMs,
      grantMs,
      place: 0,
      onDue: () => undefined,
    });
    const relay: Relay = { slots, share, open: 0, wants: this.#someWants(), paused: false, telling: undefined };
    return relay;
  }

  #fate(): ReturnType<Network['fate']> {
    const what = this.#calm ? 1 : this.#random();
    if (what < 0.06) return 'question lost';
    if (what < 0.12) return 'answer lost';
    return what < 0.35 ? 'late' : 'arrives';
  }

  #someWants(): number {
    return this.#random() < 0.4 ? 0 : 1 + this.#int(5);
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }
}
