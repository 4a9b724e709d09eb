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
import { deferred } from '../deliver/outcome.ts';
import { createMailResolver } from '../deliver/resolver.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { LaneSlots } from '../queue/lane-slots.ts';
import type { Claim, Queue } from '../queue/queue.ts';
import type { Signer } from '../sign/signer.ts';
import type { RelayState } from '../state.ts';
import { CaptureLane } from './capture-lane.ts';
import { claimWhatIsDue } from './claimer.ts';
import { ConnectionBudget } from './connection-budget.ts';
import { type Held, HeldClaims } from './held.ts';
import { type LaneHost, laneLimits } from './lane-host.ts';
import { Lanes } from './lanes.ts';
import { LeaseKeeper } from './leases.ts';
import { Rests } from './rests.ts';
import { asksOtherNameservers, changedSmartHosts } from './route-changes.ts';
import { type Route, Routes } from './routes.ts';
import { Settler } from './settler.ts';
import { SharedLanes } from './shared-lanes.ts';
import { WakeableSleep } from './wakeable-sleep.ts';

export interface SchedulerDeps {
  readonly state: () => RelayState;
  readonly queue: Queue;
  /** Of a queue that other relays share. */
  readonly lanes: LaneSlots | undefined;
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
  /** Since when the longest overdue of what it holds and has not begun to deliver is due; undefined when there is none. */
  readonly oldestDueTimeMs: number | undefined;
  start(): void;
  /** Finishes what is in flight within the grace, gives the rest back to the queue. */
  stop(graceMs: number): Promise<void>;
}

const bounds = { maxClaims: 5000, maxBytes: 64 * 1024 * 1024 };
const sweepEveryMs = 1000;
/** After the grace, for broken-off transactions to be settled. */
const settleGraceMs = 5000;

export function createScheduler(deps: SchedulerDeps): Scheduler {
  return new MailScheduler(deps);
}

class MailScheduler implements Scheduler {
  readonly #deps: SchedulerDeps;
  readonly #held = new HeldClaims(bounds, () => this.#sleep.wake());
  readonly #budget: ConnectionBudget;
  readonly #settler: Settler;
  readonly #lanes: Lanes;
  readonly #shared: SharedLanes;
  readonly #captureLane: CaptureLane;
  readonly #routes: Routes;
  readonly #rests: Rests;
  readonly #leases: LeaseKeeper;
  readonly #sleep: WakeableSleep;
  /** No new work. */
  readonly #stopping = new AbortController();
  /** Leases need no keeping any more. */
  readonly #stopped = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  /** What runs now, to see what a reload changes. */
  #state: RelayState;
  #running = 0;

  constructor(deps: SchedulerDeps) {
    this.#deps = deps;
    const { state, clock, random = Math.random } = deps;
    this.#state = state();
    const now = () => clock.now();
    this.#sleep = new WakeableSleep(clock);
    this.#leases = new LeaseKeeper({ ...deps, held: this.#held });
    this.#budget = new ConnectionBudget(() => state().config.delivery.maxConnections);
    const onDue = (timeMs: number) => this.#sleep.wakeAt(timeMs);
    this.#settler = new Settler({ ...deps, held: this.#held, random, onDue });
    this.#rests = new Rests({ ...deps, settler: this.#settler, sleep: this.#sleep, random });
    this.#shared = new SharedLanes({ ...deps, slots: deps.lanes });
    const host = this.#laneHost();
    this.#lanes = new Lanes(host);
    this.#captureLane = new CaptureLane(deps.capture, host);
    const resolver = createMailResolver({ nameservers: () => state().config.nameservers, now });
    const connector = new Connector(resolver, now, random);
    const { signal } = this.#stopping;
    this.#routes = new Routes({ state, resolver, connector, signal, now });
    signal.addEventListener('abort', () => resolver.cancel());
    deps.metrics.postroad_schedule_last_delivery_timestamp_seconds.set(now() / 1000);
  }

  hasRoom(destination: string): boolean {
    if (this.#stopping.signal.aborted || !this.#held.hasRoom) return false;
    if (destination === 'capture') return this.#captureLane.hasRoom;
    return this.#lanes.hasRoom(destination) && !this.#rests.isUnroutable(destination);
  }

  get oldestDueTimeMs(): number | undefined {
    return this.#held.oldestDueTimeMs;
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
      this.#untilAborted(this.#shared.keep(this.#stopped.signal), this.#stopped.signal),
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
    this.#shared.wake();
    await this.#loops;
    await this.#shared.leave();
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
      this.#rests.setBack(held, route.setback);
    } else {
      this.#rests.routed(destination);
      const lane = route.type === 'Capture' ? this.#captureLane : this.#lanes.get(route.lane, destination);
      lane.offer(held);
    }
  }

  #routeFault(held: Held, cause: unknown): void {
    // G4: a fault of ours defers, and is seen in the log.
    this.#deps.log.error({ err: cause, queueId: held.claim.message.id }, 'routing failed unexpectedly');
    this.#rests.setBack(held, deferred('Internal'));
  }

  async #claimLoop(): Promise<void> {
    const parts = { held: this.#held, leases: this.#leases, sleep: this.#sleep };
    await claimWhatIsDue({ ...this.#deps, ...parts, take: claim => this.#take(claim) }, this.#stopping.signal);
  }

  async #sweepLoop(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#followReload();
      this.#lanes.sweep(clock.now());
      this.#captureLane.sweep();
      this.#gauge();
      await clock.sleep(sweepEveryMs, signal);
    }
  }

  /** Mail that rests for what a reload has changed is tried again, instead of after as long as a quarter of an hour. */
  #followReload(): void {
    const [before, after] = [this.#state, this.#deps.state()];
    if (before === after) return;
    this.#state = after;
    const changed = changedSmartHosts(before, after);
    for (const destination of changed) this.#lanes.endRest(destination);
    this.#rests.end(changed);
    if (asksOtherNameservers(before, after)) this.#rests.end(this.#rests.unroutable());
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

  #sure(held: Held): boolean {
    if (this.#leases.isSure(held)) return true;
    void this.#leases.confirm(held).then(known => this.#pumpIf(known));
    return false;
  }

  /** While it is unsure still, the next sweep asks again. */
  #pumpIf(known: boolean): void {
    if (!known) return;
    this.#lanes.sweep(this.#deps.clock.now());
    this.#captureLane.sweep();
  }

  #laneHost(): LaneHost {
    const { state, clock, log, metrics } = this.#deps;
    return {
      budget: this.#budget,
      log,
      limits: laneLimits(state, this.#held),
      now: () => clock.now(),
      share: member => this.#shared.join(member),
      sure: held => this.#sure(held),
      unheard: held => this.#leases.isUnheard(held),
      restMs: failures => this.#rests.restMs(failures),
      settle: (held, attempt, place) => this.#settler.settle(held, attempt, place),
      release: (held, reason, untilMs) => this.#settler.release(held, reason, untilMs),
      drop: held => this.#held.remove(held),
      sendBack: (held, reason, untilMs) => this.#rests.sendBack(held, reason, untilMs),
      suspend: (destination, untilMs) => this.#rests.suspend(destination, untilMs),
      onTransaction: (change, seconds) => {
        this.#running += change;
        if (change < 0) metrics.postroad_deliver_attempt_seconds.observe(seconds);
      },
      onConnection: tls => metrics.postroad_deliver_connections_total.inc({ tls }),
    };
  }
}
