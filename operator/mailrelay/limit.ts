/** So many at a time; the others wait in the order in which they came. */
export type Limit = <T>(work: () => Promise<T>) => Promise<T>;

export function createLimit(most: number): Limit {
  const waiting: (() => void)[] = [];
  let free = most;

  async function enter(): Promise<void> {
    if (free > 0) free -= 1;
    else await new Promise<void>(resolve => waiting.push(resolve));
  }

  function leave(): void {
    const next = waiting.shift();
    // The place passes on: it is not free in between.
    if (next === undefined) free += 1;
    else next();
  }

  return async work => {
    await enter();
    try {
      return await work();
    } finally {
      leave();
    }
  };
}
