/** Claims while there is room and something is due, then sleeps until something is. */
import { setImmediate as nextRound } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Claim, Queue } from '../queue/queue.ts';
import type { HeldClaims } from './held.ts';
import { type LeaseKeeper, leaseMs } from './leases.ts';
import type { WakeableSleep } from './wakeable-sleep.ts';

export interface ClaimerDeps {
  readonly queue: Pick<Queue, 'claim' | 'nextDueTimeMs'>;
  readonly held: HeldClaims;
  readonly leases: LeaseKeeper;
  readonly sleep: WakeableSleep;
  readonly clock: Clock;
  readonly log: Log;
  take(claim: Claim): void;
}

/** A claim waits for the disk with what else is under way, so it is for many; they are taken in turns with sessions, which must not wait long. */
const takenAtOnce = 50;
const request = { limit: 500, limitPerDestination: 100, leaseMs };
/** What an administrator releases, or a reload makes deliverable, is noticed within this. */
const longestSleepMs = 5000;
const faultPauseMs = 1000;

/** Until the signal ends it. */
export async function claimWhatIsDue(deps: ClaimerDeps, signal: AbortSignal): Promise<void> {
  const { sleep, clock, log } = deps;
  while (!signal.aborted) {
    try {
      const nextMs = await claimOnce(deps, signal);
      if (nextMs !== undefined) await sleep.until(Math.min(nextMs, clock.now() + longestSleepMs));
    } catch (cause) {
      log.error({ err: cause }, 'claiming failed; tried again shortly');
      await clock.sleep(faultPauseMs, signal);
    }
  }
}

/** When to look again; undefined: at once, there may be more. */
async function claimOnce({ queue, held, leases, take }: ClaimerDeps, signal: AbortSignal): Promise<number | undefined> {
  if (!held.wantsMore) return Number.POSITIVE_INFINITY;
  await leases.catchUp();
  const claims = await queue.claim(request);
  for (const [at, claim] of claims.entries()) {
    // At the end of all there are no turns to wait for: what is not held by then would not be given back in time.
    if (at > 0 && at % takenAtOnce === 0 && !signal.aborted) await nextRound();
    take(claim);
  }
  return claims.length > 0 ? undefined : ((await queue.nextDueTimeMs()) ?? Number.POSITIVE_INFINITY);
}
