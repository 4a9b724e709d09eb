/**
 * Whose turn it is among sessions that have more commands than they may give at once. The system hands over one new connection for each
 * round of the event loop, so a round must be short however many clients pipeline without end.
 */
const sessionsPerRound = 10;

export class Turns {
  #waiting: (() => void)[] = [];

  /** Resolves in a later round, first come, first served. */
  next(): Promise<void> {
    if (this.#waiting.length === 0) setImmediate(() => this.#round());
    return new Promise(resolve => this.#waiting.push(resolve));
  }

  #round(): void {
    const due = this.#waiting.splice(0, sessionsPerRound);
    if (this.#waiting.length > 0) setImmediate(() => this.#round());
    for (const resolve of due) resolve();
  }
}
