/**
 * One leader among the operator's replicas, by a coordination.k8s.io/v1 Lease.
 *
 *   candidate ── the lease is free, or stood still for its duration as *we* watched it ──► leader
 *   leader ── every retryMs: renew ──► leader
 *   leader ── not renewed for renewDeadlineMs ──► its signal is aborted, its work awaited ──► candidate
 *   leader ── stopped ──► its work awaited, the lease given back ──► gone
 *
 * No clock of another machine is believed: times written in the lease are for people to read. A candidate measures from when it saw the
 * lease change; a leader from before it asked for its renewal, and stops renewDeadlineMs after that, which is earlier than anyone may
 * take over. What a leader has sent may still arrive afterwards: requests of its work should time out within
 * durationMs - renewDeadlineMs, and the work asks `assertHeld` before each write, since a process that stood still (a paused machine, a
 * blocked loop) has not yet run the timer that would have told it.
 */
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import type { KubeClient } from './client.ts';
import { linkedSignal } from './deadline.ts';
import { createLeaseRecord } from './lease-record.ts';
import type { MetricSink } from './metrics.ts';
import type { Uptime } from './uptime.ts';

export interface LeaseTiming {
  /** Nobody takes over sooner than this after the last renewal. */
  readonly durationMs: number;
  /** A leader that could not renew for this long stops leading. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/** As client-go: an API server that is away for up to 10 s costs no change of leader; a leader that dies is followed after 15 to 17 s. */
export const defaultLeaseTiming: LeaseTiming = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
  readonly code = 'KUBE_LEASE_LOST';
}

export interface Leadership {
  /** Aborted with a LeaseLostError when the lease is lost, with the elector's own reason when it is stopped. */
  readonly signal: AbortSignal;
  /** Throws unless the lease is held at this very moment. */
  assertHeld(): void;
}

export interface ElectorOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly uptime: Uptime;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: MetricSink;
  readonly namespace: string;
  readonly name: string;
  /** Differs between replicas and between runs of one: the pod's name and something of chance. */
  readonly identity: string;
  readonly timing?: LeaseTiming;
}

export interface Elector {
  readonly isLeading: boolean;
  /** Whom the lease names, as last seen. */
  readonly leader: string | undefined;
  /**
   * Calls `lead` each time that the lease is won, one call at a time, and ends, the lease given back, when the signal is aborted or when
   * `lead` ends by itself. `lead` must end when its signal is aborted.
   */
  run(lead: (leadership: Leadership) => Promise<void>, signal: AbortSignal): Promise<void>;
}

export function createElector(options: ElectorOptions): Elector {
  const { clock, uptime, random, metrics, identity, timing = defaultLeaseTiming } = options;
  assertTiming(timing);
  const log = options.log.child({ lease: options.name, identity });
  const record = createLeaseRecord({
    ...options,
    durationMs: timing.durationMs,
    requestTimeoutMs: timing.renewDeadlineMs / 2,
  });
  /** Until when the lease is ours for sure. */
  let heldUntil: ReturnType<Uptime['deadline']> | undefined;

  const isLeading = (): boolean => heldUntil !== undefined && !heldUntil.isOver();

  /** One attempt to take or renew the lease. Faults of the API server are a "no". */
  async function tryHold(signal: AbortSignal): Promise<boolean> {
    // From before the request: the server may have stored it at any time since.
    const deadline = uptime.deadline(timing.renewDeadlineMs);
    try {
      if (!(await record.hold(signal))) return false;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      log.warn({ err: error }, 'the lease could not be read or written');
      return false;
    }
    heldUntil = deadline;
    return true;
  }

  async function acquire(signal: AbortSignal): Promise<void> {
    // Held, but so late that it is over already: once more.
    while (!(await tryHold(signal)) || !isLeading()) await clock.sleep(timing.retryMs * (1 + 0.2 * random()), signal);
  }

  /** Resolves when it is no longer ours, whoever has it; rejects when stopped. */
  async function keep(signal: AbortSignal): Promise<void> {
    while (isLeading()) {
      const leftMs = heldUntil?.leftMs() ?? 0;
      await clock.sleep(Math.min(timing.retryMs, leftMs), signal);
      if (!isLeading()) return;
      await withinHold(signal);
      if (record.holder !== undefined && record.holder !== identity) return;
    }
  }

  /** A renewal that hangs must not outlast the lease. */
  async function withinHold(signal: AbortSignal): Promise<void> {
    using attempt = linkedSignal(signal);
    const timer = new AbortController();
    const limit = clock.sleep(heldUntil?.leftMs() ?? 0, timer.signal).then(
      () => attempt.abort(new LeaseLostError('the renewal took too long')),
      () => undefined,
    );
    try {
      await tryHold(attempt.signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof LeaseLostError)) throw error;
    } finally {
      timer.abort();
      await limit;
    }
  }

  /** One term. True: it was lost; false: the work ended by itself. */
  async function leadOnce(lead: (leadership: Leadership) => Promise<void>, signal: AbortSignal): Promise<boolean> {
    using term = linkedSignal(signal);
    log.info('leading');
    metrics.set('postroad_operator_leader', {}, 1);
    const assertHeld = (): void => {
      term.signal.throwIfAborted();
      if (!isLeading()) throw new LeaseLostError('the lease is not held any more');
    };
    const work = lead({ signal: term.signal, assertHeld }).catch((error: unknown) => {
      if (!term.signal.aborted) throw error;
      log.info({ err: error }, 'the work ended with the lease');
    });
    const keeping = keep(term.signal).catch((error: unknown) => {
      if (!term.signal.aborted) throw error;
    });
    try {
      const isLost = await Promise.race([keeping.then(() => !signal.aborted), work.then(() => false)]);
      if (isLost) reportLoss();
      return isLost;
    } finally {
      metrics.set('postroad_operator_leader', {}, 0);
      term.abort(new LeaseLostError('the lease is lost'));
      // Whichever lost the race; how it ends no longer matters.
      await Promise.allSettled([work, keeping]);
    }
  }

  function reportLoss(): void {
    heldUntil = undefined;
    metrics.add('postroad_operator_lease_losses_total', {});
    log.error({ leader: record.holder }, 'the lease is lost: what is under way is abandoned');
  }

  /** Only when the work has ended, so that the next leader never finds us still at it. */
  async function giveBack(): Promise<void> {
    if (!isLeading()) return;
    heldUntil = undefined;
    try {
      await record.release(AbortSignal.timeout(releaseMs));
      log.info('the lease is given back');
    } catch (error) {
      log.warn({ err: error }, 'the lease could not be given back: the next leader waits for it to run out');
    }
  }

  return {
    get isLeading() {
      return isLeading();
    },
    get leader() {
      return record.holder;
    },
    async run(lead, signal) {
      try {
        do await acquire(signal);
        while (await leadOnce(lead, signal));
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        await giveBack();
      }
    },
  };
}

const releaseMs = 2000;

function assertTiming({ durationMs, renewDeadlineMs, retryMs }: LeaseTiming): void {
  if (!(retryMs > 0 && retryMs * 2 <= renewDeadlineMs && renewDeadlineMs < durationMs)) {
    throw new RangeError(
      `lease: retry (${retryMs} ms) must be at most half of the renew deadline (${renewDeadlineMs} ms), which must be shorter than the duration (${durationMs} ms)`,
    );
  }
}
