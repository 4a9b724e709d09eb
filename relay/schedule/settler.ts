/**
 * Tells the queue what became of claims, with the DSNs that follow in the same transition. A fault of the store is met with
 * patience: nothing that happened is forgotten while its lease lasts; after that the message is delivered again (G2).
 */
import { buildDsn } from '../bounce/bounce.ts';
import { eventsToReport, gravestAction } from '../bounce/decision.ts';
import type { Clock } from '../clock.ts';
import type { Attempt } from '../deliver/deliver.ts';
import { type DeferReason, deferReasons, deferred, failReasons, notTried, setBack } from '../deliver/outcome.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { type Claim, LeaseLostError, type NewMessage, type Outcome, type Queue } from '../queue/queue.ts';
import type { Signer } from '../sign/signer.ts';
import type { RelayState } from '../state.ts';
import { logAttempt, type Place } from './attempt-log.ts';
import type { Held, HeldClaims } from './held.ts';
import { type Notice, type Plan, type PlanInput, planSettlement } from './settlement.ts';

export interface SettlerDeps {
  readonly state: () => Pick<RelayState, 'config'>;
  readonly queue: Pick<Queue, 'settle'>;
  readonly held: HeldClaims;
  readonly signer: Signer;
  readonly newId: () => string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Something is due at that time that was not before. */
  readonly onDue: (timeMs: number) => void;
}

type PlanExtras = Pick<PlanInput, 'remoteMta' | 'restUntilMs'>;

const firstRetryMs = 100;
const maxRetryMs = 5000;

export class Settler {
  readonly #deps: SettlerDeps;
  readonly #attempts = new Map<string, { inc(value?: number): void }>();

  constructor(deps: SettlerDeps) {
    this.#deps = deps;
    const attempts = deps.metrics.postroad_deliver_attempts_total;
    attempts.inc({ outcome: 'Delivered', reason: 'Accepted' }, 0);
    for (const reason of Object.keys(deferReasons)) attempts.inc({ outcome: 'Deferred', reason }, 0);
    for (const reason of Object.keys(failReasons)) attempts.inc({ outcome: 'Failed', reason }, 0);
  }

  settle(held: Held, attempt: Attempt, place: Place): void {
    logAttempt(this.#deps.log, held, attempt, place);
    void this.#finish(held, attempt, place.remote === undefined ? {} : { remoteMta: place.remote });
  }

  /** Back to the queue untried, due at that time. */
  release(held: Held, reason: DeferReason, untilMs: number): void {
    const results = held.claim.recipients.map(({ index }) => setBack(index, notTried(reason)));
    const attempt = { results, stale: false, closing: false, detail: undefined };
    void this.#finish(held, attempt, { restUntilMs: untilMs });
  }

  #plan(held: Held, { results }: Attempt, more: PlanExtras): Plan {
    const { state, clock, random } = this.#deps;
    return planSettlement({
      claim: held.claim,
      results,
      retry: state().config.retry,
      nowMs: clock.now(),
      random: random(),
      ...more,
    });
  }

  /** Never rejects: whatever goes wrong, the claim is let go of, and its lease runs out. */
  async #finish(held: Held, attempt: Attempt, more: PlanExtras): Promise<void> {
    const { claim } = held;
    try {
      const plan = this.#plan(held, attempt, more);
      this.#count(plan.outcomes);
      const { outcomes, messages } =
        plan.notices.length === 0 ? { outcomes: plan.outcomes, messages: [] } : await this.#withDsns(held, plan);
      await this.#settleWithPatience(held, outcomes, messages);
      this.#afterwards(outcomes);
      if (messages.length > 0) this.#countDsn(claim, plan.notices);
    } catch (cause) {
      const lost = cause instanceof LeaseLostError;
      this.#deps.log[lost ? 'warn' : 'error'](
        { err: cause, queueId: claim.message.id, destination: claim.destination },
        'not settled: the message is delivered again when its lease has run out',
      );
    } finally {
      this.#deps.held.remove(held);
    }
  }

  async #withDsns(held: Held, plan: Plan): Promise<{ outcomes: readonly Outcome[]; messages: readonly NewMessage[] }> {
    const { state, newId, clock, signer, log } = this.#deps;
    try {
      const input = { claim: held.claim, recipients: plan.notices, config: state().config };
      const dsn = await buildDsn({ ...input, newId, nowMs: clock.now(), signer });
      return { outcomes: plan.outcomes, messages: dsn === undefined ? [] : [dsn] };
    } catch (cause) {
      log.error({ err: cause, queueId: held.claim.message.id }, 'a DSN could not be made');
      return { outcomes: this.#withoutDsn(held, plan), messages: [] };
    }
  }

  /** G4: who cannot be told of a failure is not given up; other notices are left out. */
  #withoutDsn(held: Held, plan: Plan): readonly Outcome[] {
    const failing = plan.notices.filter(({ action }) => action === 'failed').map(({ recipient }) => recipient.index);
    const results = failing.map(index => setBack(index, deferred('Internal')));
    const later = planSettlement({
      claim: { ...held.claim, message: { ...held.claim.message, expiryTimeMs: Number.MAX_SAFE_INTEGER } },
      results,
      retry: { ...this.#deps.state().config.retry, delayWarningSeconds: 0 },
      nowMs: this.#deps.clock.now(),
      random: this.#deps.random(),
    });
    return [...plan.outcomes.filter(({ index }) => !failing.includes(index)), ...later.outcomes];
  }

  async #settleWithPatience(held: Held, outcomes: readonly Outcome[], messages: readonly NewMessage[]): Promise<void> {
    const { queue, clock, log } = this.#deps;
    for (let delayMs = firstRetryMs; ; delayMs = Math.min(maxRetryMs, delayMs * 2)) {
      try {
        await queue.settle({ claim: held.claim, outcomes, messages });
        return;
      } catch (cause) {
        if (cause instanceof LeaseLostError || held.lost || clock.now() + delayMs >= held.leaseExpiryTimeMs)
          throw cause;
        log.error({ err: cause, queueId: held.claim.message.id }, 'the queue could not settle; tried again');
      }
      await clock.sleep(delayMs);
    }
  }

  #afterwards(outcomes: readonly Outcome[]): void {
    const { metrics, clock, onDue } = this.#deps;
    let delivered = false;
    for (const outcome of outcomes) {
      if (outcome.result === 'Delivered') delivered = true;
      else if (outcome.result === 'Deferred') onDue(outcome.nextAttemptTimeMs);
    }
    if (delivered) metrics.postroad_schedule_last_delivery_timestamp_seconds.set(clock.now() / 1000);
  }

  /** Once a DSN, by the gravest of what it says. */
  #countDsn({ message }: Claim, notices: readonly Notice[]): void {
    const { metrics, clock, onDue } = this.#deps;
    metrics.postroad_bounce_dsns_total.inc({ action: gravestAction(eventsToReport(message, notices)) });
    onDue(clock.now());
  }

  /** Tried recipients only; label sets are looked up once. */
  #count(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      if (outcome.result === 'Deferred' && !outcome.attempted) continue;
      const reason = outcome.result === 'Delivered' ? 'Accepted' : outcome.reason;
      const key = `${outcome.result}|${reason}`;
      let counter = this.#attempts.get(key);
      if (counter === undefined) {
        counter = this.#deps.metrics.postroad_deliver_attempts_total.labels({ outcome: outcome.result, reason });
        this.#attempts.set(key, counter);
      }
      counter.inc();
    }
  }
}
