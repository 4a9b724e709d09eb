/**
 * How long a session may last. RFC 5321 s4.5.3.2 bounds each wait, not the session; a client that trickles bytes would stay for ever.
 * One that is sending a message when its time is over may finish it within as much time again: not every client tries anew.
 */
const longestTimerMs = 2 ** 31 - 1;
/** How long after its time a session is looked at again whose message is being stored. */
const busyMs = 1000;

export interface TimedSession {
  /** It is us that the client waits for. */
  isWaiting(): boolean;
  leaveIfDue(): void;
  end(): void;
}

export class SessionTime {
  isOver = false;
  readonly #session: TimedSession;
  #timer: NodeJS.Timeout;

  constructor(limitSeconds: number, session: TimedSession) {
    const ms = Math.min(limitSeconds * 1000, longestTimerMs);
    this.#session = session;
    this.#timer = setTimeout(() => {
      this.isOver = true;
      this.#endAfter(ms);
      if (!session.isWaiting()) session.leaveIfDue();
    }, ms).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #endAfter(ms: number): void {
    this.#timer = setTimeout(() => {
      // A message that is being stored gets its reply first: without it the client would send it again.
      if (this.#session.isWaiting()) this.#endAfter(busyMs);
      else this.#session.end();
    }, ms).unref();
  }
}
