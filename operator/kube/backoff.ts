/** Exponential, capped, and jittered over its upper half, so that many that failed together do not come back together. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** The wait after the given number of failures in a row (1 or more); `random` is of [0, 1). */
export function backoffMs(failures: number, { firstMs, longestMs }: BackoffOptions, random: () => number): number {
  // 2 ** 1100 is Infinity, which min() takes.
  const fullMs = Math.min(longestMs, firstMs * 2 ** (failures - 1));
  return fullMs * (0.5 + random() / 2);
}
