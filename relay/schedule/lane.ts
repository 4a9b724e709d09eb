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
import { type Attempt, allAlike } from '../deliver/deliver.ts';
import { SmtpSession } from '../deliver/session.ts';
import type { LaneRest } from '../queue/lane-slots.ts';
import { tryConnect, tryDeliver } from './attempts.ts';
import { FullLine } from './full-line.ts';
import type { Held } from './held.ts';
import { type ConnectionsOwner, LaneConnections } from './lane-connections.ts';
import { LaneHealth } from './lane-health.ts';
import type { LaneHost, LaneRoute } from './lane-host.ts';
import type { LaneMember, LaneShare } from './lane-share.ts';
import { Line } from './line.ts';

/** For others to deliver what is given back to them. */
const starvedMs = 5000;

export class Lane implements ConnectionsOwner, LaneMember {
  readonly key: string;
  lastUsedMs: number;
  readonly #route: LaneRoute;
  readonly #host: LaneHost;
  readonly #health: LaneHealth;
  readonly #fullLine: FullLine;
  readonly #connections: LaneConnections;
  readonly #share: LaneShare;
  readonly #waiting: Line;
  #busy = 0;
  #starvedUntilMs = 0;
  #stopped = false;

  constructor(route: LaneRoute, host: LaneHost) {
    this.key = route.key;
    this.#route = route;
    this.#host = host;
    this.#health = new LaneHealth(host);
    this.#fullLine = new FullLine(host);
    this.#connections = new LaneConnections(this, host);
    this.#waiting = new Line(host);
    this.#share = host.share(this);
    this.lastUsedMs = host.now();
  }

  get resting(): boolean {
    return this.#health.resting;
  }

  get hasRoom(): boolean {
    return !this.#stopped && !this.resting && !this.#full && this.#host.now() >= this.#starvedUntilMs;
  }

  /** Nothing in it that could be lost by forgetting it. */
  get unused(): boolean {
    return this.#connections.open === 0 && this.#waiting.isEmpty && this.#busy === 0;
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
    for (let held = this.#waiting.next(); held !== undefined && !this.#stopped; held = this.#waiting.next()) {
      if (held.lost) {
        this.#waiting.take(held);
        this.#host.drop(held);
        continue;
      }
      const session = this.#sessionFor(held);
      if (session === undefined) break;
      if (session === 'Connecting') continue;
      this.#waiting.take(held);
      this.#own(this.#run(session, held));
    }
    if (this.#fullLine.suspends && this.#waiting.length * 2 <= this.#host.limits.maxWaiting) this.#fullLine.lift();
  }

  /** What it rests for has changed by a reload. */
  endRest(): void {
    this.#health.endRest();
    this.#share.mended();
  }

  word(): ReturnType<LaneMember['word']> {
    const { limit, proven } = this.#health;
    const { open, connecting, working } = this.#connections;
    const uses = this.#busy + connecting;
    const wants = this.#stopped || this.resting ? uses : Math.max(uses, Math.min(limit, uses + this.#waiting.length));
    return { most: this.#host.limits.maxConnections, open, wants, works: working > 0, proven };
  }

  onShare(): void {
    this.#connections.quitAbove(this.#share.may);
    this.pump();
  }

  onRest(rest: LaneRest): void {
    if (this.resting) return;
    this.#health.restAs(rest);
    if (this.resting) this.#empty(!this.#route.ownTls);
  }

  /** The others take what waits here, too; what is at its end has its last attempt here. */
  onStarved(): void {
    this.#starvedUntilMs = this.#host.now() + starvedMs;
    this.#fullLine.restUntil(this.#starvedUntilMs);
    const ending = (held: Held): boolean => held.claim.message.expiryTimeMs <= this.#starvedUntilMs;
    for (const held of this.#waiting.takeAll()) {
      if (ending(held)) this.#waiting.push(held);
      else this.#host.sendBack(held, 'LaneFull', this.#starvedUntilMs);
    }
  }

  /** Others may wait for what is free now. */
  onGone(): void {
    const { may } = this.#share;
    const openBefore = this.#connections.open + 1;
    if (openBefore > may) this.#share.changed();
    if (openBefore >= may && this.#waiting.length > 0) this.pump();
  }

  evictIdle(): boolean {
    const session = this.#connections.takeIdle();
    session?.quit();
    return session !== undefined;
  }

  /** Closes connections that were not used for long; told every second or so. */
  sweep(nowMs: number): void {
    this.#connections.quitIdle(nowMs - this.#host.limits.idleConnectionMs);
    this.#connections.quitAbove(this.#share.may);
    this.#waiting.recall();
    if (this.#waiting.length > 0) this.pump();
  }

  /** No new transactions; what waits goes back to the queue. */
  stop(): void {
    this.#stopped = true;
    this.#host.budget.forget(this);
    for (const held of this.#waiting.takeAll()) this.#host.release(held, 'ShuttingDown', this.#host.now());
    this.#connections.quitIdle();
  }

  /** Breaks off what is under way. */
  abort(): void {
    this.#connections.abort();
  }

  #sessionFor(held: Held): SmtpSession | 'Connecting' | undefined {
    const connections = this.#connections;
    if (connections.count > this.#share.may) return undefined;
    const wanted = held.retriedStale ? connections.takeFresh() : connections.takeIdle();
    if (wanted !== undefined) return wanted;
    if (this.#mayConnect()) {
      this.#own(this.#connect());
      return 'Connecting';
    }
    // Where no fresh connection is to be had, a used one is better than none.
    return connections.connecting === 0 ? connections.takeIdle() : undefined;
  }

  #mayConnect(): boolean {
    const { connecting, open } = this.#connections;
    if (connecting >= this.#waiting.length || !this.#health.mayConnect) return false;
    if (this.#busy + connecting >= this.#health.limit) return false;
    if (open >= this.#share.may) {
      this.#share.want();
      return false;
    }
    return this.#host.budget.acquire(this);
  }

  async #connect(): Promise<void> {
    this.#connections.connecting += 1;
    const opened = await tryConnect(this.#route, this.#host.log);
    this.#connections.connecting -= 1;
    if (!(opened instanceof SmtpSession)) {
      this.#host.onConnection('failed');
      this.#onConnectFailure(opened);
      this.#host.budget.release();
      return;
    }
    this.#host.onConnection(opened.tls);
    this.#connections.add(opened);
    if (this.#stopped) opened.quit();
    else this.#connections.putAside(opened);
    this.pump();
  }

  /** What runs in a lane settles its own faults; one that comes here is a fault of the lane itself. */
  #own(running: Promise<void>): void {
    running.catch((cause: unknown) =>
      this.#host.log.error({ err: cause, lane: this.key }, 'a lane failed unexpectedly'),
    );
  }

  #onConnectFailure(failure: ConnectFailure): void {
    const { reason, reply } = failure.setback;
    this.#host.log.info(
      { lane: this.key, remote: failure.remoteMta, reason, reply, detail: failure.detail },
      'no connection to the next hop',
    );
    if (this.#stopped || this.resting) return;
    const othersTry = this.#connections.count > 0 || this.#share.othersWork;
    if (!this.#health.onConnectFailure({ othersTry })) return;
    const probe = this.#waiting.first();
    this.#rest(!(reason === 'TlsFailed' && this.#route.ownTls));
    if (probe === undefined) return;
    this.#host.settle(probe, allAlike(probe.claim.recipients, failure.setback), {
      lane: this.key,
      remote: failure.remoteMta,
    });
  }

  #rest(suspends: boolean): void {
    this.#share.rested(this.#health.rest());
    this.#empty(suspends);
  }

  #empty(suspends: boolean): void {
    if (suspends) this.#fullLine.restUntil(this.#health.restUntilMs);
    for (const held of this.#waiting.takeAll()) this.#sendBack(held, suspends);
  }

  #sendBack(held: Held, suspends = true): void {
    if (suspends) this.#host.sendBack(held, 'LaneBackedOff', this.#health.restUntilMs);
    else this.#host.release(held, 'LaneBackedOff', this.#health.restUntilMs);
  }

  async #run(session: SmtpSession, held: Held): Promise<void> {
    this.#busy += 1;
    held.begun = true;
    this.#share.used(this.#busy);
    this.#host.onTransaction(1, 0);
    const startedMs = performance.now();
    const attempt = await tryDeliver(session, held, { route: this.#route, log: this.#host.log });
    this.#busy -= 1;
    this.#host.onTransaction(-1, (performance.now() - startedMs) / 1000);
    this.lastUsedMs = this.#host.now();
    if (attempt.stale && !held.retriedStale && !this.#stopped) {
      held.retriedStale = true;
      held.begun = false;
      this.#connections.quitIdle();
      this.#waiting.putBack(held);
    } else {
      this.#host.settle(held, attempt, { lane: this.key, remote: session.host });
      this.#judge(attempt);
    }
    this.#recycle(session);
    this.pump();
  }

  /** By the transaction: a next hop may close the connection after a message it took or refused, and many do. */
  #judge(attempt: Attempt): void {
    if (attempt.detail === undefined) {
      if (!this.#health.proven) this.#share.changed();
      this.#health.onSuccess();
    } else {
      const closing = attempt.closing && this.#busy === 0 && !this.#share.othersWork;
      const broken = this.#health.onFault({ closing });
      if (broken && !this.#stopped) this.#rest(true);
    }
  }

  #recycle(session: SmtpSession): void {
    if (!session.usable) return;
    const { maxMessagesPerConnection, maxConnections } = this.#host.limits;
    const { working, count } = this.#connections;
    const tooMany = working > maxConnections || count > this.#share.may;
    const spent = session.transactions >= maxMessagesPerConnection || tooMany;
    const wantedElsewhere = this.#host.budget.scarce && (this.#waiting.length === 0 || working > 1);
    if (spent || wantedElsewhere || this.#stopped) session.quit();
    else this.#connections.putAside(session);
  }
}
