/** What happens to the relays and the Redis of an audit, and when: at random, or for a control what it cannot stand. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RelayProcess } from '../support/relay-process.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { Load } from './load.ts';
import type { RedisFaultKind, RedisWorld } from './redis-world.ts';
import type { Kill } from './verdict.ts';

export const redisControls = ['ack-before-commit', 'no-fencing'] as const;
export type RedisControl = (typeof redisControls)[number];

export type FaultKind = 'relay killed' | 'relay stopped' | RedisFaultKind;

/** Who was away, and when. */
export interface Fault extends Kill {
  readonly subject: RelayProcess | 'Redis';
  readonly what: FaultKind;
}

export interface RedisAway {
  readonly kind: RedisFaultKind;
  readonly downMs: number;
  readonly relaysMs: number;
}

export interface Chaos {
  readonly kills: readonly Fault[];
  /** Of each time that Redis was killed: until it answered again, and from then until each relay that ran had said 250. */
  readonly redisAway: readonly RedisAway[];
}

export interface ChaosOptions {
  readonly all: readonly RelayProcess[];
  /** By its EHLO the next hop knows it. */
  readonly names: readonly string[];
  readonly loads: readonly Load[];
  readonly redis: RedisWorld;
  readonly faults: number;
  readonly random: () => number;
  readonly progress: () => number;
  readonly control: RedisControl | undefined;
}

const acceptLimitMs = 30_000;
/** Beyond the ten seconds after which a relay counts as dead, so that it wakes up as one that has lost its leases. */
const stopMs = { least: 1000, most: 16_000 };
/** So that each relay that wakes up has lost its leases. */
const stopMsWithoutFencing = { least: 11_500, most: 13_000 };
/** A control's fault comes this soon after a 250, when so many were said since the one before: something is under way. */
const freshMs = 20;
const flowingMessages = 30;
const flowLimitMs = 120_000;

export function disturb(options: ChaosOptions): Promise<Chaos> {
  return new Disturbance(options).run();
}

class Disturbance {
  readonly #options: ChaosOptions;
  readonly #kills: Fault[] = [];
  readonly #redisAway: RedisAway[] = [];
  readonly #mending: Promise<void>[] = [];
  readonly #busy = new Set<unknown>();

  constructor(options: ChaosOptions) {
    this.#options = options;
  }

  async run(): Promise<Chaos> {
    const { control } = this.#options;
    if (control === undefined) await this.#atRandom();
    else await this.#oneByOne(relay => (control === 'no-fencing' ? this.#stop(relay) : this.#kill(relay)));
    return { kills: this.#kills, redisAway: this.#redisAway };
  }

  /** One fault after the other, and each is mended before the next of its kind. */
  async #atRandom(): Promise<void> {
    const { all, redis, faults, random, progress } = this.#options;
    const instants = Array.from({ length: faults }, random).sort((one, other) => one - other);
    for (const instant of instants) {
      while (progress() < instant) await delay(5);
      const relay = all[Math.floor(random() * all.length)];
      const which = random();
      const subject = which < 0.2 ? redis : relay;
      while (this.#busy.has(subject)) await delay(20);
      if (subject === redis) this.#begin(redis, () => this.#strikeRedis());
      else if (relay !== undefined) this.#begin(relay, () => (which < 0.6 ? this.#kill(relay) : this.#stop(relay)));
    }
    await Promise.all(this.#mending);
  }

  /** Others are there meanwhile to take over, and each fault finds mail under way: a control that needs luck is none. */
  async #oneByOne(fault: (relay: RelayProcess) => Promise<void>): Promise<void> {
    const { all, loads, faults } = this.#options;
    for (let done = 0; done < faults; done += 1) {
      const at = done % all.length;
      const [relay, load] = [all[at], loads[at]];
      if (relay === undefined || load === undefined) throw new Error(`no relay ${at}`);
      const enough = load.accepted() + flowingMessages;
      const flows = () => load.accepted() >= enough && Date.now() - load.lastAcceptedMs() < freshMs;
      await waitUntil('mail flows through the relay', flows, { limitMs: flowLimitMs, everyMs: 1 });
      await fault(relay);
    }
  }

  #begin(subject: unknown, fault: () => Promise<void>): void {
    this.#busy.add(subject);
    this.#mending.push(fault().finally(() => this.#busy.delete(subject)));
  }

  async #kill(relay: RelayProcess): Promise<void> {
    const fromMs = Date.now();
    await relay.kill();
    this.#note('relay killed', relay, fromMs);
    await relay.start();
  }

  async #stop(relay: RelayProcess): Promise<void> {
    const { random, control } = this.#options;
    const { least, most } = control === 'no-fencing' ? stopMsWithoutFencing : stopMs;
    const fromMs = Date.now();
    process.kill(relay.pid, 'SIGSTOP');
    await delay(least + random() * (most - least));
    process.kill(relay.pid, 'SIGCONT');
    this.#note('relay stopped', relay, fromMs);
  }

  async #strikeRedis(): Promise<void> {
    const fromMs = Date.now();
    let recovering: Promise<void> | undefined;
    await this.#options.redis.strike(this.#options.random, kind => {
      this.#note(kind, 'Redis', fromMs);
      recovering = this.#untilBack(kind, fromMs);
    });
    await recovering;
  }

  async #untilBack(kind: RedisFaultKind, fromMs: number): Promise<void> {
    const backMs = Date.now();
    this.#redisAway.push({ kind, downMs: backMs - fromMs, relaysMs: await this.#untilAllAccept(backMs) });
  }

  /** Relays that are killed or stopped meanwhile, or have no more to take, are not waited for. */
  async #untilAllAccept(backMs: number): Promise<number> {
    const { all, loads, progress } = this.#options;
    const since = (at: number): number => (loads[at]?.lastAcceptedMs() ?? 0) - backMs;
    const waitsFor = (relay: RelayProcess, at: number): boolean =>
      !this.#busy.has(relay) && since(at) <= 0 && progress() < 1;
    while (all.some(waitsFor) && Date.now() - backMs < acceptLimitMs) await delay(5);
    return Date.now() - backMs;
  }

  #note(what: FaultKind, subject: Fault['subject'], fromMs: number): void {
    const { all, names } = this.#options;
    const toMs = Date.now();
    if (subject === 'Redis') {
      this.#kills.push({ fromMs, toMs, subject, what, kind: 'StoreAway' });
      return;
    }
    const client = names[all.indexOf(subject)] ?? '';
    const kind = what === 'relay stopped' ? 'Stopped' : 'Killed';
    this.#kills.push({ fromMs, toMs, subject, what, client, kind });
  }
}
