/** What a lane needs of the world, and where it leads. The scheduler makes the host, `routes` the route. */
import type { ConnectFailure } from '../deliver/connect.ts';
import type { Attempt } from '../deliver/deliver.ts';
import type { DeferReason } from '../deliver/outcome.ts';
import type { SmtpSession } from '../deliver/session.ts';
import type { Log } from '../log.ts';
import type { RelayState } from '../state.ts';
import type { Place } from './attempt-log.ts';
import type { ConnectionBudget } from './connection-budget.ts';
import type { Held, HeldClaims } from './held.ts';
import type { LaneMember, LaneShare } from './lane-share.ts';

export interface LaneHost {
  readonly budget: ConnectionBudget;
  readonly log: Log;
  now(): number;
  /** What the lane may have where other relays send to the same next hop. */
  share(member: LaneMember): LaneShare;
  readonly limits: LaneLimits;
  /** Rest after so many failures in a row. */
  restMs(failures: number): number;
  settle(held: Held, attempt: Attempt, place: Place): void;
  /** Whether it is ours still; when that is not known, it is asked, and the lanes go on when it is. */
  sure(held: Held): boolean;
  /** What is not sure, and was asked about in vain. */
  unheard(held: Held): boolean;
  /** Back to the queue, untried. */
  release(held: Held, reason: DeferReason, untilMs: number): void;
  /** The lease is gone. */
  drop(held: Held): void;
  /** Back to the queue, untried, because this relay should not have mail for its destination until then. */
  sendBack(held: Held, reason: DeferReason, untilMs: number): void;
  suspend(destination: string, untilMs: number): void;
  onTransaction(running: 1 | -1, seconds: number): void;
  onConnection(tls: string): void;
}

/** Read at each use: they follow reloads, and how much is held. */
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

/** Longest line of one lane. */
const maxWaitingPerLane = 200;

export function laneLimits(state: () => Pick<RelayState, 'config'>, held: Pick<HeldClaims, 'laneShare'>): LaneLimits {
  const delivery = () => state().config.delivery;
  return {
    get maxConnections() {
      return delivery().maxConnectionsPerLane;
    },
    get maxMessagesPerConnection() {
      return delivery().maxMessagesPerConnection;
    },
    get idleConnectionMs() {
      return delivery().idleConnectionSeconds * 1000;
    },
    get maxWaiting() {
      return Math.min(maxWaitingPerLane, held.laneShare);
    },
  };
}
