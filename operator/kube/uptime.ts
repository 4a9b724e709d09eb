/** Time that has passed, by two clocks of which neither can be trusted alone. */

export interface Deadline {
  isOver(): boolean;
  leftMs(): number;
}

export interface Uptime {
  /**
   * Over as soon as either clock says so: for what must stop in time. The steady clock stands still while a machine sleeps; the wall
   * clock may be set back.
   */
  deadline(ms: number): Deadline;
  /** Over when the steady clock says so: for what may not begin too early. A wall clock that is set forward proves nothing. */
  patience(ms: number): Deadline;
}

export interface Clocks {
  /** Never steps back: performance.now(). */
  readonly steadyMs: () => number;
  /** Date.now(). */
  readonly wallMs: () => number;
}

export const systemClocks: Clocks = { steadyMs: () => performance.now(), wallMs: () => Date.now() };

export function createUptime({ steadyMs, wallMs }: Clocks = systemClocks): Uptime {
  const until = (leftMs: () => number): Deadline => ({
    leftMs: () => Math.max(0, leftMs()),
    isOver: () => leftMs() <= 0,
  });
  return {
    deadline(ms) {
      const [steadyEndMs, wallEndMs] = [steadyMs() + ms, wallMs() + ms];
      return until(() => Math.min(steadyEndMs - steadyMs(), wallEndMs - wallMs()));
    },
    patience(ms) {
      const endMs = steadyMs() + ms;
      return until(() => endMs - steadyMs());
    },
  };
}
