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
import { deferred } from '../deliver/outcome.ts';
import { SmtpSession } from '../deliver/session.ts';
import type { BudgetUser } from './connection-budget.ts';
import { FullLine } from './full-line.ts';
import type { Held } from './held.ts';
import { LaneHealth } from './lane-health.ts';
import type { LaneHost, LaneRoute } from './lane-host.ts';

export class Lane implements BudgetUser {
  readonly key: string;
  lastUsedMs: number;
  readonly #route: LaneRoute;
  readonly #host: LaneHost;
  readonly #health: LaneHealth;
  readonly #fullLine: FullLine;
  readonly #waiting: Held[] = [];
  readonly #idle: SmtpSession[] = [];
  readonly #sessions = new Set<SmtpSession>();
  #connecting = 0;
  #busy = 0;
  #stopped = false;

  constructor(route: LaneRoute, host: LaneHost) {
    this.key = route.key;
    this.#route = route;
    this.#host = host;
    this.#health = new LaneHealth(host);
    this.#fullLine = new FullLine(host);
    this.lastUsedMs = host.now();
  }

  get resting(): boolean {
    return this.#health.resting;
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
    return this.#health.troubled;
  }

  get #full(): boolean {
    return this.#waiting.length >= Math.max(this.#health.limit, this.#host.limits.maxWaiting);
  }

  offer(held: Held): void {
    this.lastUsedMs = this.#host.now();
    if (this.#stopped) {
      this.#host.release(held, 'ShuttingDown', this.lastUsedMs);
    } else if (this.resting) {
      this.#sendBack(held);
    } else {
      if (this.#full) this.#fullLine.suspend(held.claim.destination);
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
      if (!this.#host.sure(held)) break;
      const session = this.#sessionFor(held);
      if (session === undefined) break;
      if (session === 'Connecting') continue;
      this.#waiting.shift();
      this.#own(this.#run(session, held));
    }
    if (this.#fullLine.suspends && this.#waiting.length * 2 <= this.#host.limits.maxWaiting) this.#fullLine.lift();
  }

  /** What it rests for has changed by a reload. */
  endRest(): void {
    this.#health.endRest();
  }

  evictIdle(): boolean {
    const session = this.#takeIdle();
    session?.quit();
    return session !== undefined;
  }

  /** Closes connections that were not used for long; told every second or so. */
  sweep(nowMs: number): void {
    const { idleConnectionMs } = this.#host.limits;
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

  #sessionFor(held: Held): SmtpSession | 'Connecting' | undefined {
    const wanted = held.retriedStale ? this.#takeFresh() : this.#takeIdle();
    if (wanted !== undefined) return wanted;
    if (this.#mayConnect()) {
      this.#own(this.#connect());
      return 'Connecting';
    }
    // Where no fresh connection is to be had, a used one is better than none.
    return this.#connecting === 0 ? this.#takeIdle() : undefined;
  }

  #takeIdle(): SmtpSession | undefined {
    // The one used last: the others may be let go of.
    const session = this.#idle.pop();
    if (this.#idle.length === 0) this.#host.budget.hasIdle(this, false);
    return session;
  }

  /** For a message that met a connection that was closed: another used one may be closed as well. */
  #takeFresh(): SmtpSession | undefined {
    const at = this.#idle.findIndex(({ transactions }) => transactions === 0);
    if (at < 0) return undefined;
    const [session] = this.#idle.splice(at, 1);
    if (this.#idle.length === 0) this.#host.budget.hasIdle(this, false);
    return session;
  }

  #mayConnect(): boolean {
    if (this.#connecting >= this.#waiting.length || !this.#health.mayConnect) return false;
    if (this.#busy + this.#connecting >= this.#health.limit) return false;
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
    if (this.#stopped || this.resting) return;
    if (!this.#health.onConnectFailure({ othersTry: this.#sessions.size + this.#connecting > 0 })) return;
    const probe = this.#waiting.shift();
    this.#rest(!(reason === 'TlsFailed' && this.#route.ownTls));
    if (probe === undefined) return;
    this.#host.settle(probe, allAlike(probe.claim.recipients, failure.setback), {
      lane: this.key,
      remote: failure.remoteMta,
    });
  }

  #rest(suspends: boolean): void {
    this.#health.rest();
    if (suspends) this.#fullLine.restUntil(this.#health.restUntilMs);
    for (const held of this.#waiting.splice(0)) this.#sendBack(held, suspends);
  }

  #sendBack(held: Held, suspends = true): void {
    if (suspends) this.#host.sendBack(held, this.#health.restUntilMs);
    else this.#host.release(held, 'LaneBackedOff', this.#health.restUntilMs);
  }

  async #run(session: SmtpSession, held: Held): Promise<void> {
    this.#busy += 1;
    held.begun = true;
    this.#host.onTransaction(1, 0);
    const startedMs = performance.now();
    const attempt = await this.#deliver(session, held);
    this.#busy -= 1;
    this.#host.onTransaction(-1, (performance.now() - startedMs) / 1000);
    this.lastUsedMs = this.#host.now();
    if (attempt.stale && !held.retriedStale && !this.#stopped) {
      held.retriedStale = true;
      held.begun = false;
      for (const old of [...this.#idle]) old.quit();
      this.#waiting.unshift(held);
    } else {
      this.#host.settle(held, attempt, { lane: this.key, remote: session.host });
      this.#judge(attempt);
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
      return { ...allAlike(held.claim.recipients, deferred('Internal')), detail: 'internal' };
    }
  }

  /** By the transaction: a next hop may close the connection after a message it took or refused, and many do. */
  #judge(attempt: Attempt): void {
    if (attempt.detail === undefined) {
      this.#health.onSuccess();
    } else {
      const broken = this.#health.onFault({ closing: attempt.closing && this.#busy === 0 });
      if (broken && !this.#stopped) this.#rest(true);
    }
  }

  #recycle(session: SmtpSession): void {
    if (!session.usable) return;
    const { maxMessagesPerConnection, maxConnections } = this.#host.limits;
    const spent = session.transactions >= maxMessagesPerConnection || this.#sessions.size > maxConnections;
    const wantedElsewhere = this.#host.budget.scarce && (this.#waiting.length === 0 || this.#sessions.size > 1);
    if (spent || wantedElsewhere || this.#stopped) session.quit();
    else this.#putAside(session);
  }
}
