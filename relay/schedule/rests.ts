/**
 * Mail that is not tried now because its destination rests: it goes back to the queue untried, and the destination is suspended
 * there, so that all that waits for it costs nothing.
 */
import type { Clock } from '../clock.ts';
import { allAlike } from '../deliver/deliver.ts';
import type { DeferReason, Setback } from '../deliver/outcome.ts';
import type { Log } from '../log.ts';
import type { Queue } from '../queue/queue.ts';
import type { RelayState } from '../state.ts';
import type { Held } from './held.ts';
import { laneBackOffMs, overdueTimeMs } from './retry.ts';
import type { Settler } from './settler.ts';
import { Troubles } from './troubles.ts';
import type { WakeableSleep } from './wakeable-sleep.ts';

export interface RestsDeps {
  readonly state: () => Pick<RelayState, 'config'>;
  readonly queue: Pick<Queue, 'suspend'>;
  readonly settler: Pick<Settler, 'settle' | 'release'>;
  readonly sleep: Pick<WakeableSleep, 'wakeAt'>;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

const shortestSuspensionMs = 1000;

export class Rests {
  readonly #deps: RestsDeps;
  /** Destinations that came to no lane. */
  readonly #troubles: Troubles;

  constructor(deps: RestsDeps) {
    this.#deps = deps;
    this.#troubles = new Troubles(() => deps.clock.now());
  }

  /** How long after so many failures in a row. */
  restMs(failures: number): number {
    return laneBackOffMs(failures, this.#deps.state().config.retry, this.#deps.random());
  }

  /** Whether it rests because it could not be routed. */
  isUnroutable(destination: string): boolean {
    return this.#troubles.restingUntilMs(destination) !== undefined;
  }

  /** There is a way to it. */
  routed(destination: string): void {
    this.#troubles.clear(destination);
  }

  /** Could not be routed. The first message to meet trouble counts an attempt; the others wait with their destination. */
  setBack(held: Held, setback: Setback): void {
    const { destination, recipients } = held.claim;
    if (setback.result === 'Deferred') {
      const restingUntilMs = this.#troubles.restingUntilMs(destination);
      if (restingUntilMs !== undefined) {
        this.sendBack(held, 'LaneBackedOff', restingUntilMs);
        return;
      }
      this.suspend(
        destination,
        this.#troubles.add(destination, failures => this.restMs(failures)),
      );
    }
    this.#deps.settler.settle(held, allAlike(recipients, setback), { lane: destination, remote: undefined });
  }

  /**
   * Untried, and due all the while: the suspension keeps it back, so that it is tried at once when that is lifted. It ends early
   * when this message has to be given up or warned about; one that is overdue already leaves the destination open, so that all
   * that is come by.
   */
  sendBack(held: Held, reason: DeferReason, untilMs: number): void {
    const { destination, message, recipients } = held.claim;
    const nowMs = this.#deps.clock.now();
    const overdueMs = overdueTimeMs(message, recipients, this.#deps.state().config.retry);
    if (overdueMs <= nowMs) {
      this.#deps.settler.release(held, reason, untilMs);
      return;
    }
    this.#deps.settler.release(held, reason, nowMs);
    this.suspend(destination, Math.max(nowMs + shortestSuspensionMs, Math.min(untilMs, overdueMs)));
  }

  /** 0 lifts it. */
  suspend(destination: string, untilMs: number): void {
    const { queue, sleep, clock, log } = this.#deps;
    sleep.wakeAt(untilMs === 0 ? clock.now() : untilMs);
    queue.suspend(destination, untilMs).catch((cause: unknown) => {
      // Advice only: without it the lane sends the messages back one by one.
      log.error({ err: cause, destination }, 'the queue could not suspend a destination');
    });
  }

  /** What they rested for has changed: they are tried again at once. */
  end(destinations: Iterable<string>): void {
    for (const destination of destinations) {
      this.#troubles.clear(destination);
      this.suspend(destination, 0);
    }
  }

  /** Those that could not be routed. */
  unroutable(): string[] {
    return this.#troubles.destinations();
  }
}
