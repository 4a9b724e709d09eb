/** What a lane does at the next hop, with faults of ours made into deferrals that are seen in the log (G4). */
import type { ConnectFailure } from '../deliver/connect.ts';
import { type Attempt, allAlike, deliver } from '../deliver/deliver.ts';
import { deferred } from '../deliver/outcome.ts';
import type { SmtpSession } from '../deliver/session.ts';
import type { Log } from '../log.ts';
import type { Held } from './held.ts';
import type { LaneRoute } from './lane-host.ts';

export async function tryConnect(route: LaneRoute, log: Log): Promise<SmtpSession | ConnectFailure> {
  try {
    return await route.connect();
  } catch (cause) {
    log.error({ err: cause, lane: route.key }, 'connecting failed unexpectedly');
    return { setback: deferred('Internal'), remoteMta: undefined, detail: 'internal' };
  }
}

export async function tryDeliver(
  session: SmtpSession,
  { claim }: Held,
  { route, log }: { readonly route: LaneRoute; readonly log: Log },
): Promise<Attempt> {
  try {
    return await deliver(session, claim, route);
  } catch (cause) {
    log.error({ err: cause, lane: route.key, queueId: claim.message.id }, 'delivery failed unexpectedly');
    // It is in a state that nobody knows.
    session.destroy('Internal');
    return { ...allAlike(claim.recipients, deferred('Internal')), detail: 'internal' };
  }
}
