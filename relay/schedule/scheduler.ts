/**
 * Between the queue and the next hops: claims what is due, hands it to lanes, settles what came of it, with the DSNs that
 * follow. Mail that accept has just made durable comes by `offer`, still in memory, and goes out at once.
 *
 *   offer ─┐                                  ┌─ Delivered, Failed (+ DSN) ─┐
 *          ├─► held ─► route ─► lane ─► deliver ┤                             ├─► settle ─► forgotten
 *   claim ─┘   (bounded)                      └─ Deferred until a time ─────┘
 *
 * Crash: before the settlement is durable the lease runs out, or ends with this process, and the message is claimed again;
 * when the next hop had taken it by then, it arrives twice (G2). Nothing is ever lost here: this room owns no mail, only leases.
 */
import type { Clock } from '../clock.ts';
import type { Capture } from '../deliver/capture.ts';
import { Connector } from '../deliver/connect.ts';
import { type Attempt, allAlike } from '../deliver/deliver.ts';
import { deferred, type Setback } from '../deliver/outcome.ts';
import { createMailResolver } from '../deliver/resolver.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Claim, Queue } from '../queue/queue.ts';
import type { Signer } from '../sign/signer.ts';
import type { RelayState } from '../state.ts';
import { logAttempt, type Place } from './attempt-log.ts';
import { CaptureLane } from './capture-lane.ts';
import { ConnectionBudget } from './connection-budget.ts';
import { type Held, HeldClaims } from './held.ts';
import type { LaneHost } from './lane-host.ts';
import { Lanes } from './lanes.ts';
import { LeaseKeeper, leaseMs } from './leases.ts';
import { laneBackOffMs, overdueTimeMs } from './retry.ts';
import { type Route, Routes } from './routes.ts';
import { Settler } from './settler.ts';
import { Troubles } from './troubles.ts';
import { WakeableSleep } from './wakeable-sleep.ts';

export interface SchedulerDeps {
  readonly state: () => RelayState;
  readonly queue: Queue;
  readonly capture: Capture;
  readonly newId: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly signer: Signer;
  /** In [0, 1); for tests. */
  readonly random?: () => number;
}

export interface Scheduler {
  /** Whether a message for that destination may be born leased; else it is born waiting, and `offer([])` tells that it is there. */
  hasRoom(destination: string): boolean;
  offer(claims: readonly Claim[]): void;
  start(): void;
  /** Finishes what is in flight within the grace, gives the rest back to the queue. */
  stop(graceMs: number): Promise<void>;
}

const bounds = { maxClaims: 5000, maxBytes: 64 * 1024 * 1024 };
const claimLimit = 500;
const claimLimitPerDestination = 100;
/** Longest line of one lane. */
const maxWaitingPerLane = 200;
/** What an administrator releases, or a reload makes deliverable, is noticed within this. */
const longestSleepMs = 5000;
const sweepEveryMs = 1000;
const shortestSuspensionMs = 1000;
const claimFaultPauseMs = 1000;
/** After the grace, for broken-off transactions to be settled. */
const settleGraceMs = 5000;

export function createScheduler(deps: SchedulerDeps): Scheduler {
  return new MailScheduler(deps);
}

class MailScheduler implements Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #random: () => number;
  readonly #held = new HeldClaims(bounds, () => this.#sleep.wake());
  readonly #budget: ConnectionBudget;
  readonly #settler: Settler;
  readonly #lanes: Lanes;
  readonly #captureLane: CaptureLane;
  readonly #routes: Routes;
  readonly #troubles: Troubles;
  readonly #leases: LeaseKeeper;
  readonly #sleep: WakeableSleep;
  /** No new work. */
  readonly #stopping = new AbortController();
  /** Leases need no keeping any more. */
  readonly #stopped = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  #running = 0;

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
    this.#random = deps.random ?? Math.random;
    const { state, clock } = deps;
    const now = () => clock.now();
    this.#sleep = new WakeableSleep(clock);
    this.#leases = new LeaseKeeper({ ...deps, held: this.#held });
    this.#troubles = new Troubles(now);
    this.#budget = new ConnectionBudget(() => state().config.delivery.maxConnections);
    const onDue = (timeMs: number) => this.#sleep.wakeAt(timeMs);
    this.#settler = new Settler({ ...deps, held: this.#held, random: this.#random, onDue });
    const host = this.#laneHost();
    this.#lanes = new Lanes(host);
    this.#captureLane = new CaptureLane(deps.capture, host);
    const resolver = createMailResolver({ nameservers: () => state().config.nameservers, now });
    const connector = new Connector(resolver, now, this.#random);
    const { signal } = this.#stopping;
    this.#routes = new Routes({ state, resolver, connector, signal, now });
    signal.addEventListener('abort', () => resolver.cancel());
    deps.metrics.postroad_schedule_last_delivery_timestamp_seconds.set(now() / 1000);
  }

  hasRoom(destination: string): boolean {
    if (this.#stopping.signal.aborted || !this.#held.hasRoom) return false;
    if (destination === 'capture') return this.#captureLane.hasRoom;
    return this.#lanes.hasRoom(destination) && this.#troubles.restingUntilMs(destination) === undefined;
  }

  offer(claims: readonly Claim[]): void {
    if (claims.length === 0) this.#sleep.wakeAt(this.#deps.clock.now());
    for (const claim of claims) this.#take(claim);
  }

  start(): void {
    this.#loops = Promise.all([
      this.#untilAborted(this.#claimLoop(), this.#stopping.signal),
      this.#untilAborted(this.#sweepLoop(), this.#stopping.signal),
      this.#untilAborted(this.#leases.keep(this.#stopped.signal), this.#stopped.signal),
    ]);
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    this.#sleep.wake();
    this.#captureLane.stop();
    this.#lanes.stop();
    await this.#emptiedWithin(graceMs);
    this.#lanes.abort();
    await this.#emptiedWithin(settleGraceMs);
    this.#stopped.abort();
    await this.#loops;
    this.#gauge();
  }

  #take(claim: Claim): void {
    const held = this.#held.add(claim);
    if (this.#stopping.signal.aborted) {
      this.#settler.release(held, 'ShuttingDown', this.#deps.clock.now());
      return;
    }
    try {
      const route = this.#routes.find(claim);
      if (route instanceof Promise) {
        route.then(
          found => this.#follow(held, found),
          (cause: unknown) => this.#routeFault(held, cause),
        );
      } else {
        this.#follow(held, route);
      }
    } catch (cause) {
      this.#routeFault(held, cause);
    }
  }

  #follow(held: Held, route: Route): void {
    const { destination } = held.claim;
    if (held.lost) {
      this.#held.remove(held);
    } else if (this.#stopping.signal.aborted) {
      this.#settler.release(held, 'ShuttingDown', this.#deps.clock.now());
    } else if (route.type === 'Setback') {
      this.#setBack(held, route.setback);
    } else {
      this.#troubles.clear(destination);
      const lane = route.type === 'Capture' ? this.#captureLane : this.#lanes.get(route.lane, destination);
      lane.offer(held);
    }
  }

  #routeFault(held: Held, cause: unknown): void {
    // G4: a fault of ours defers, and is seen in the log.
    this.#deps.log.error({ err: cause, queueId: held.claim.message.id }, 'routing failed unexpectedly');
    this.#setBack(held, deferred('Internal'));
  }

  /** Without a lane. The first message to meet trouble counts an attempt; the others wait with their destination. */
  #setBack(held: Held, setback: Setback): void {
    const { destination, recipients } = held.claim;
    if (setback.result === 'Deferred') {
      const restingUntilMs = this.#troubles.restingUntilMs(destination);
      if (restingUntilMs !== undefined) {
        this.#sendBack(held, restingUntilMs);
        return;
      }
      this.#suspend(
        destination,
        this.#troubles.add(destination, failures => this.#restMs(failures)),
      );
    }
    this.#settle(held, allAlike(recipients, setback), { lane: destination, remote: undefined });
  }

  /**
   * Untried, with its destination suspended, so that what waits there costs nothing. The suspension ends early when this message
   * has to be given up or warned about; one that is overdue already leaves the destination open, so that all that is come by.
   */
  #sendBack(held: Held, untilMs: number): void {
    const { destination, message, recipients } = held.claim;
    const nowMs = this.#deps.clock.now();
    const overdueMs = overdueTimeMs(message, recipients, this.#deps.state().config.retry);
    this.#settler.release(held, 'LaneBackedOff', untilMs);
    if (overdueMs > nowMs)
      this.#suspend(destination, Math.max(nowMs + shortestSuspensionMs, Math.min(untilMs, overdueMs)));
  }

  #settle(held: Held, attempt: Attempt, place: Place): void {
    logAttempt(this.#deps.log, held, attempt, place);
    this.#settler.settle(held, attempt, place.remote);
  }

  #restMs(failures: number): number {
    return laneBackOffMs(failures, this.#deps.state().config.retry, this.#random());
  }

  #suspend(destination: string, untilMs: number): void {
    const { queue, clock, log } = this.#deps;
    this.#sleep.wakeAt(untilMs === 0 ? clock.now() : untilMs);
    queue.suspend(destination, untilMs).catch((cause: unknown) => {
      // Advice only: without it the lane sends the messages back one by one.
      log.error({ err: cause, destination }, 'the queue could not suspend a destination');
    });
  }

  /** Claims while there is room and something is due, then sleeps until something is. */
  async #claimLoop(): Promise<void> {
    const { queue, clock, log } = this.#deps;
    const { signal } = this.#stopping;
    const request = { limit: claimLimit, limitPerDestination: claimLimitPerDestination, leaseMs };
    while (!signal.aborted) {
      try {
        if (!this.#held.wantsMore) {
          await this.#sleep.until(clock.now() + longestSleepMs);
          continue;
        }
        await this.#leases.catchUp();
        const claims = await queue.claim(request);
        for (const claim of claims) this.#take(claim);
        if (claims.length > 0) continue;
        const nextMs = (await queue.nextDueTimeMs()) ?? Number.POSITIVE_INFINITY;
        await this.#sleep.until(Math.min(nextMs, clock.now() + longestSleepMs));
      } catch (cause) {
        log.error({ err: cause }, 'claiming failed; tried again shortly');
        await clock.sleep(claimFaultPauseMs, signal);
      }
    }
  }

  async #sweepLoop(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#lanes.sweep(clock.now());
      this.#gauge();
      await clock.sleep(sweepEveryMs, signal);
    }
  }

  async #untilAborted(loop: Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await loop;
    } catch (cause) {
      if (!signal.aborted) this.#deps.log.fatal({ err: cause }, 'a loop of the scheduler ended');
    }
  }

  /** Resolves when nothing is held any more, or the time is over. */
  async #emptiedWithin(ms: number): Promise<void> {
    const emptied = new AbortController();
    const time = this.#deps.clock.sleep(ms, emptied.signal).catch((cause: unknown) => {
      if (!emptied.signal.aborted) throw cause;
    });
    await Promise.race([this.#held.empty().finally(() => emptied.abort()), time]);
  }

  #gauge(): void {
    const { metrics } = this.#deps;
    const { open, resting } = this.#lanes.counts();
    metrics.postroad_schedule_lanes.set({ state: 'Open' }, open);
    metrics.postroad_schedule_lanes.set({ state: 'BackedOff' }, resting);
    metrics.postroad_schedule_deliveries_running.set(this.#running);
    metrics.postroad_deliver_connections_open.set(this.#budget.open);
  }

  #laneHost(): LaneHost {
    const { state, clock, log, metrics } = this.#deps;
    const held = this.#held;
    const limits = {
      get maxConnections() {
        return state().config.delivery.maxConnectionsPerLane;
      },
      get maxMessagesPerConnection() {
        return state().config.delivery.maxMessagesPerConnection;
      },
      get idleConnectionMs() {
        return state().config.delivery.idleConnectionSeconds * 1000;
      },
      get maxWaiting() {
        return Math.min(maxWaitingPerLane, held.laneShare);
      },
    };
    return {
      budget: this.#budget,
      log,
      limits,
      now: () => clock.now(),
      restMs: failures => this.#restMs(failures),
      settle: (held, attempt, place) => this.#settle(held, attempt, place),
      release: (held, reason, untilMs) => this.#settler.release(held, reason, untilMs),
      drop: held => this.#held.remove(held),
      sendBack: (held, untilMs) => this.#sendBack(held, untilMs),
      suspend: (destination, untilMs) => this.#suspend(destination, untilMs),
      onTransaction: (change, seconds) => {
        this.#running += change;
        if (change < 0) metrics.postroad_deliver_attempt_seconds.observe(seconds);
      },
      onConnection: tls => metrics.postroad_deliver_connections_total.inc({ tls }),
    };
  }
}
