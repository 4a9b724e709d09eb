/** The destinations whose mail stays in the queue while a lane's line is full: they are suspended there, and lifted when it is short. */
import type { LaneHost } from './lane-host.ts';

const suspensionMs = 30_000;
/** Of more, the suspension ends by its time. */
const maxDestinations = 1000;

export class FullLine {
  readonly #host: Pick<LaneHost, 'now' | 'suspend'>;
  readonly #destinations = new Set<string>();

  constructor(host: Pick<LaneHost, 'now' | 'suspend'>) {
    this.#host = host;
  }

  get suspends(): boolean {
    return this.#destinations.size > 0;
  }

  suspend(destination: string): void {
    if (this.#destinations.has(destination)) return;
    if (this.#destinations.size < maxDestinations) this.#destinations.add(destination);
    this.#host.suspend(destination, this.#host.now() + suspensionMs);
  }

  lift(): void {
    this.#suspendUntil(0);
  }

  /** The lane rests: lifting what it suspended before would bring its mail back for nothing. */
  restUntil(timeMs: number): void {
    this.#suspendUntil(timeMs);
  }

  #suspendUntil(timeMs: number): void {
    for (const destination of this.#destinations) this.#host.suspend(destination, timeMs);
    this.#destinations.clear();
  }
}
