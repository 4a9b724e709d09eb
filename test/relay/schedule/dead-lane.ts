/** A lane whose next hop takes no connection until a test says what comes of it. */
import type { ConnectFailure } from '../../../relay/deliver/connect.ts';
import { deferred } from '../../../relay/deliver/outcome.ts';
import { createLog } from '../../../relay/log.ts';
import { ConnectionBudget } from '../../../relay/schedule/connection-budget.ts';
import type { Held } from '../../../relay/schedule/held.ts';
import { Lane } from '../../../relay/schedule/lane.ts';
import type { LaneHost, LaneRoute } from '../../../relay/schedule/lane-host.ts';
import { type LaneShare, wholeShare } from '../../../relay/schedule/lane-share.ts';
import { buildClaim } from '../../support/claim-builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';

export function held(id: string, { expiryTimeMs = 1e15 } = {}): Held {
  const claim = buildClaim({ token: id, message: { expiryTimeMs } });
  return { claim, sizeBytes: 0, leaseExpiryTimeMs: 1e15, leaseEra: 0, lost: false, begun: false, retriedStale: false };
}

interface Options {
  readonly route?: Partial<LaneRoute>;
  readonly maxWaiting?: number;
  readonly share?: LaneShare;
}

/** A next hop that takes no connection until it is told what to answer. */
export function deadLane({ route: change = {}, maxWaiting = 10, share = wholeShare }: Options = {}) {
  const clock = new FakeClock(0);
  const log: string[] = [];
  const trials: ((failure: ConnectFailure) => void)[] = [];
  const host: LaneHost = {
    budget: new ConnectionBudget(() => 100),
    log: createLog('silent'),
    now: () => clock.now(),
    sure: () => true,
    unheard: () => false,
    share: () => share,
    limits: { maxConnections: 20, maxMessagesPerConnection: 100, idleConnectionMs: 1000, maxWaiting },
    restMs: failures => failures * 10_000,
    settle: ({ claim }, { results: [result] }) =>
      log.push(`settle ${claim.message.id} ${result?.result === 'Deferred' && result.attempted}`),
    release: ({ claim }, reason) => log.push(`release ${claim.message.id} ${reason}`),
    drop: ({ claim }) => log.push(`drop ${claim.message.id}`),
    sendBack: ({ claim }, reason, untilMs) => log.push(`sendBack ${claim.message.id} ${reason} ${untilMs}`),
    suspend: (destination, untilMs) => log.push(`suspend ${destination} ${untilMs}`),
    onTransaction: () => undefined,
    onConnection: tls => log.push(tls),
  };
  const route: LaneRoute = {
    key: 'lane',
    smartHost: false,
    ownTls: false,
    connect: () => new Promise(resolve => trials.push(resolve)),
    ...change,
  };
  const lane = new Lane(route, host);
  const fail = async (failure = deferred('ConnectFailed')) => {
    for (const trial of trials.splice(0)) trial({ setback: failure, remoteMta: undefined, detail: '' });
    await clock.advance(0);
  };
  return { lane, clock, log, trials, fail, host };
}
