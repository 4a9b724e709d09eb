/** The lane of captured mail: a folder instead of a next hop. */
import type { Capture } from '../deliver/capture.ts';
import { type Attempt, allAlike } from '../deliver/deliver.ts';
import { deferred } from '../deliver/outcome.ts';
import type { Log } from '../log.ts';
import type { Place } from './attempt-log.ts';
import type { Held } from './held.ts';
import { Line } from './line.ts';

export interface CaptureLaneHost {
  readonly log: Log;
  now(): number;
  sure(held: Held): boolean;
  unheard(held: Held): boolean;
  settle(held: Held, attempt: Attempt, place: Place): void;
  release(held: Held, reason: 'ShuttingDown', untilMs: number): void;
  drop(held: Held): void;
  onTransaction(running: 1 | -1, seconds: number): void;
}

const maxRunning = 16;
const maxWaiting = 500;

export class CaptureLane {
  readonly #capture: Capture;
  readonly #host: CaptureLaneHost;
  readonly #waiting: Line;
  #running = 0;
  #stopped = false;

  constructor(capture: Capture, host: CaptureLaneHost) {
    this.#capture = capture;
    this.#host = host;
    this.#waiting = new Line(host);
  }

  get hasRoom(): boolean {
    return !this.#stopped && this.#waiting.length < maxWaiting;
  }

  offer(held: Held): void {
    if (this.#stopped) {
      this.#host.release(held, 'ShuttingDown', this.#host.now());
      return;
    }
    this.#waiting.push(held);
    this.pump();
  }

  stop(): void {
    this.#stopped = true;
    for (const held of this.#waiting.takeAll()) this.#host.release(held, 'ShuttingDown', this.#host.now());
  }

  sweep(): void {
    this.#waiting.recall();
    this.pump();
  }

  pump(): void {
    for (
      let held = this.#waiting.next();
      held !== undefined && this.#running < maxRunning;
      held = this.#waiting.next()
    ) {
      this.#waiting.take(held);
      if (held.lost) this.#host.drop(held);
      else void this.#run(held);
    }
  }

  async #run(held: Held): Promise<void> {
    this.#running += 1;
    held.begun = true;
    this.#host.onTransaction(1, 0);
    const startedMs = performance.now();
    this.#host.settle(held, await this.#store(held), { lane: 'capture', remote: undefined });
    this.#running -= 1;
    this.#host.onTransaction(-1, (performance.now() - startedMs) / 1000);
    this.pump();
  }

  async #store({ claim }: Held): Promise<Attempt> {
    try {
      await this.#capture.store(claim);
      const results = claim.recipients.map(({ index }) => ({ index, result: 'Delivered', dsn: 'Delivered' }) as const);
      return { results, stale: false, closing: false, detail: undefined };
    } catch (cause) {
      this.#host.log.error({ err: cause, queueId: claim.message.id }, 'a message could not be captured');
      return allAlike(claim.recipients, deferred('CaptureFailed'));
    }
  }
}
