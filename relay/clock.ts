import { setTimeout as delay } from 'node:timers/promises';

/** Time as a parameter, so that tests own it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node's timers fire at once when asked to wait longer than 2^31-1 ms. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    for (let left = ms; left >= 0; left -= longestTimerMs) {
      await delay(Math.min(left, longestTimerMs), undefined, signal === undefined ? {} : { signal });
    }
  },
};
