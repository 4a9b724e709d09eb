/** Claims while there is room and something is due, then sleeps until something is. */
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

const request = { limit: 500, limitPerDestination: 100, leaseMs };
/** What an administrator releases, or a reload makes deliverable, is noticed within this. */
const longestSleepMs = 5000;
const faultPauseMs = 1000;

/** Until the signal ends it. */
export async function claimWhatIsDue(deps: ClaimerDeps, signal: AbortSignal): Promise<void> {
  const { sleep, clock, log } = deps;
  while (!signal.aborted) {
    try {
      const nextMs = await claimOnce(deps);
      if (nextMs !== undefined) await sleep.until(Math.min(nextMs, clock.now() + longestSleepMs));
    } catch (cause) {
      log.error({ err: cause }, 'claiming failed; tried again shortly');
      await clock.sleep(faultPauseMs, signal);
    }
  }
}

/** When to look again; undefined: at once, there may be more. */
async function claimOnce({ queue, held, leases, take }: ClaimerDeps): Promise<number | undefined> {
  if (!held.wantsMore) return Number.POSITIVE_INFINITY;
  await leases.catchUp();
  const claims = await queue.claim(request);
  for (const claim of claims) take(claim);
  return claims.length > 0 ? undefined : ((await queue.nextDueTimeMs()) ?? Number.POSITIVE_INFINITY);
}
