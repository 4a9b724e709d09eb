/**
 * All mail for one next hop: its line, its connections, its pace.
 *
 *   offer ──► waiting ──► a connection that is free, or a new one while the limit allows ──► deliver ──► settle
 *
 *   Open ──(no connection to be had, or 421)──► Resting until a time: whatever waits goes back to the queue untried,
 *     ▲                                          its destinations are suspended there, so it costs nothing meanwhile
 *     └──(after it one connection finds out; the message that it was opened for counts the attempt)──┘
 */
import type { ConnectFailure } from '../deliver/connect.ts';
import { type Attempt, allAlike, deliver } from '../deliver/deliver.ts';
import { type DeferReason, deferred } from '../deliver/outcome.ts';
import { SmtpSession } from '../deliver/session.ts';
import type { Log } from '../log.ts';
import type { Place } from './attempt-log.ts';
import { Concurrency } from './concurrency.ts';
import type { BudgetUser, ConnectionBudget } from './connection-budget.ts';
import type { Held } from './held.ts';

/** What a lane needs of the world; made by the scheduler. */
export interface LaneHost {
  readonly budget: ConnectionBudget;
  readonly log: Log;
  now(): number;
  limits(): LaneLimits;
  /** Rest after so many failures in a row. */
  restMs(failures: number): number;
  settle(held: Held, attempt: Attempt, place: Place): void;
  /** Back to the queue, untried. */
  release(held: Held, reason: DeferReason, untilMs: number): void;
  /** The lease is gone. */
  drop(held: Held): void;
  /** Back to the queue, untried, because its destination rests until then. */
  sendBack(held: Held, untilMs: number): void;
  suspend(destination: string, untilMs: number): void;
  onTransaction(running: 1 | -1, seconds: number): void;
  onConnection(tls: string): void;
}

export interface LaneLimits {
  readonly maxConnections: number;
  readonly maxMessagesPerConnection: number;
  readonly idleConnectionMs: number;
  /** How many may wait. */
  readonly maxWaiting: number;
}

export interface LaneRoute {
  readonly key: string;
  readonly smartHost: boolean;
  /** Trouble with TLS that only this policy asks for says nothing about the destination's other mail. */
  readonly ownTls: boolean;
  connect(): Promise<SmtpSession | ConnectFailure>;
}

/** Suspended while the line is full; lifted when it is short again. */
const fullSuspensionMs = 30_000;
const maxSuspended = 1000;
const connectPauseMs = 1000;
/** So many transactions in a row that broke the connection, and the lane rests: each costs its message an attempt. */
const maxFaultsInARow = 5;

export class Lane implements BudgetUser {
  readonly key: string;
  lastUsedMs: number;
  readonly #route: LaneRoute;
  readonly #host: LaneHost;
  readonly #concurrency: Concurrency;
  readonly #waiting: Held[] = [];
  readonly #idle: SmtpSession[] = [];
  readonly #sessions = new Set<SmtpSession>();
  readonly #suspended = new Set<string>();
  #connecting = 0;
  #busy = 0;
  #failures = 0;
  #faultsInARow = 0;
  #restUntilMs = 0;
  #connectAfterMs = 0;
  #stopped = false;

  constructor(route: LaneRoute, host: LaneHost) {
    this.key = route.key;
    this.#route = route;
    this.#host = host;
    this.#concurrency = new Concurrency(host.limits().maxConnections);
    this.lastUsedMs = host.now();
  }

  get resting(): boolean {
    return this.#restUntilMs > this.#host.now();
  }

  get hasRoom(): boolean {
    return !this.#stopped && !this.resting && !this.#full;
  }

  /** Nothing in it that could be lost by forgetting it. */
  get unused(): boolean {
    return this.#sessions.size === 0 && this.#connecting === 0 && this.#waiting.length === 0 && this.#busy === 0;
  }

  /** Failed when last tried: worth remembering longer. */
  get troubled(): boolean {
    return this.#failures > 0;
  }

  get #full(): boolean {
    return this.#waiting.length >= Math.max(this.#concurrency.limit, this.#host.limits().maxWaiting);
  }

  offer(held: Held): void {
    this.lastUsedMs = this.#host.now();
    if (this.#stopped) {
      this.#host.release(held, 'ShuttingDown', this.lastUsedMs);
    } else if (this.resting) {
      this.#sendBack(held);
    } else {
      if (this.#full) this.#suspendWhileFull(held.claim.destination);
      this.#waiting.push(held);
      this.pump();
    }
  }

  pump(): void {
    for (let held = this.#waiting[0]; held !== undefined && !this.#stopped; held = this.#waiting[0]) {
      if (held.lost) {
        this.#waiting.shift();
        this.#host.drop(held);
        continue;
      }
      const session = this.#takeIdle();
      if (session !== undefined) {
        this.#waiting.shift();
        this.#own(this.#run(session, held));
      } else if (this.#mayConnect()) {
        this.#own(this.#connect());
      } else {
        break;
      }
    }
    if (this.#suspended.size > 0 && this.#waiting.length * 2 <= this.#host.limits().maxWaiting) this.#liftSuspensions();
  }

  evictIdle(): boolean {
    const session = this.#takeIdle();
    session?.quit();
    return session !== undefined;
  }

  /** Closes connections that were not used for long; told every second or so. */
  sweep(nowMs: number): void {
    const { idleConnectionMs } = this.#host.limits();
    for (const session of [...this.#idle]) if (nowMs - session.idleSinceMs >= idleConnectionMs) session.quit();
    if (this.#waiting.length > 0) this.pump();
  }

  /** No new transactions; what waits goes back to the queue. */
  stop(): void {
    this.#stopped = true;
    this.#host.budget.forget(this);
    for (const held of this.#waiting.splice(0)) this.#host.release(held, 'ShuttingDown', this.#host.now());
    for (const session of [...this.#idle]) session.quit();
  }

  /** Breaks off what is under way. */
  abort(): void {
    for (const session of [...this.#sessions]) session.destroy('ShuttingDown');
  }

  #takeIdle(): SmtpSession | undefined {
    // The one used last: the others may be let go of.
    const session = this.#idle.pop();
    if (this.#idle.length === 0) this.#host.budget.hasIdle(this, false);
    return session;
  }

  #mayConnect(): boolean {
    if (this.#connecting >= this.#waiting.length || this.#host.now() < this.#connectAfterMs) return false;
    if (this.#busy + this.#connecting >= this.#concurrency.limit) return false;
    return this.#host.budget.acquire(this);
  }

  async #connect(): Promise<void> {
    this.#connecting += 1;
    const opened = await this.#open();
    this.#connecting -= 1;
    if (!(opened instanceof SmtpSession)) {
      this.#host.onConnection('failed');
      this.#onConnectFailure(opened);
      this.#host.budget.release();
      return;
    }
    this.#host.onConnection(opened.tls);
    this.#sessions.add(opened);
    opened.onClose(() => this.#onClose(opened));
    if (this.#stopped) opened.quit();
    else this.#putAside(opened);
    this.pump();
  }

  /** What runs in a lane settles its own faults; one that comes here is a fault of the lane itself. */
  #own(running: Promise<void>): void {
    running.catch((cause: unknown) =>
      this.#host.log.error({ err: cause, lane: this.key }, 'a lane failed unexpectedly'),
    );
  }

  async #open(): Promise<SmtpSession | ConnectFailure> {
    try {
      return await this.#route.connect();
    } catch (cause) {
      // G4: a fault of ours defers, and is seen in the log.
      this.#host.log.error({ err: cause, lane: this.key }, 'connecting failed unexpectedly');
      return { setback: deferred('Internal'), remoteMta: undefined, detail: 'internal' };
    }
  }

  #onClose(session: SmtpSession): void {
    this.#sessions.delete(session);
    const at = this.#idle.indexOf(session);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#idle.length === 0) this.#host.budget.hasIdle(this, false);
    this.#host.budget.release();
  }

  #putAside(session: SmtpSession): void {
    if (!session.usable) return;
    session.idleSinceMs = this.#host.now();
    this.#idle.push(session);
    this.#host.budget.hasIdle(this, true);
  }

  #onConnectFailure(failure: ConnectFailure): void {
    const { reason, reply } = failure.setback;
    this.#host.log.info(
      { lane: this.key, remote: failure.remoteMta, reason, reply, detail: failure.detail },
      'no connection to the next hop',
    );
    if (this.#stopped) return;
    this.#concurrency.onTrouble();
    if (this.#busy > 0) {
      // Others work: the next hop limits how many, and nobody is to blame for it.
      this.#connectAfterMs = this.#host.now() + connectPauseMs;
      return;
    }
    const probe = this.#waiting.shift();
    this.#rest(!(reason === 'TlsFailed' && this.#route.ownTls));
    if (probe === undefined) return;
    this.#host.settle(probe, allAlike(probe.claim.recipients, failure.setback), {
      lane: this.key,
      remote: failure.remoteMta,
    });
  }

  #rest(suspends: boolean): void {
    this.#failures += 1;
    this.#restUntilMs = this.#host.now() + this.#host.restMs(this.#failures);
    this.#concurrency.onRest();
    for (const held of this.#waiting.splice(0)) this.#sendBack(held, suspends);
  }

  #sendBack(held: Held, suspends = true): void {
    if (suspends) this.#host.sendBack(held, this.#restUntilMs);
    else this.#host.release(held, 'LaneBackedOff', this.#restUntilMs);
  }

  async #run(session: SmtpSession, held: Held): Promise<void> {
    this.#busy += 1;
    this.#host.onTransaction(1, 0);
    const startedMs = performance.now();
    const attempt = await this.#deliver(session, held);
    this.#busy -= 1;
    this.#host.onTransaction(-1, (performance.now() - startedMs) / 1000);
    this.lastUsedMs = this.#host.now();
    if (attempt.stale && !held.retriedStale && !this.#stopped) {
      held.retriedStale = true;
      for (const old of [...this.#idle]) old.quit();
      this.#waiting.unshift(held);
    } else {
      this.#host.settle(held, attempt, { lane: this.key, remote: session.host });
      this.#judge(session, attempt);
    }
    this.#recycle(session);
    this.pump();
  }

  async #deliver(session: SmtpSession, held: Held): Promise<Attempt> {
    try {
      return await deliver(session, held.claim, this.#route);
    } catch (cause) {
      // G4: as above; the connection is in a state that nobody knows.
      this.#host.log.error(
        { err: cause, lane: this.key, queueId: held.claim.message.id },
        'delivery failed unexpectedly',
      );
      session.destroy('Internal');
      return allAlike(held.claim.recipients, deferred('Internal'));
    }
  }

  #judge(session: SmtpSession, attempt: Attempt): void {
    if (session.usable) {
      this.#failures = 0;
      this.#faultsInARow = 0;
      this.#concurrency.onSuccess();
      return;
    }
    this.#faultsInARow += 1;
    this.#concurrency.onTrouble();
    const broken = this.#faultsInARow >= maxFaultsInARow || (attempt.closing && this.#busy === 0);
    if (broken && !this.#stopped) this.#rest(true);
  }

  #recycle(session: SmtpSession): void {
    if (!session.usable) return;
    const spent = session.transactions >= this.#host.limits().maxMessagesPerConnection;
    const wantedElsewhere = this.#host.budget.scarce && (this.#waiting.length === 0 || this.#sessions.size > 1);
    if (spent || wantedElsewhere || this.#stopped) session.quit();
    else this.#putAside(session);
  }

  #suspendWhileFull(destination: string): void {
    if (this.#suspended.has(destination)) return;
    if (this.#suspended.size < maxSuspended) this.#suspended.add(destination);
    this.#host.suspend(destination, this.#host.now() + fullSuspensionMs);
  }

  #liftSuspensions(): void {
    for (const destination of this.#suspended) this.#host.suspend(destination, 0);
    this.#suspended.clear();
  }
}
