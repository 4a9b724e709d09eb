/**
 * So many at a time, and so many of one owner: the others wait. Owners take turns, so that one who has hundreds waiting (pods that never
 * answer) holds back nobody else's.
 */
export type Limit = <T>(owner: string, work: () => Promise<T>) => Promise<T>;

export interface LimitOptions {
  readonly most: number;
  /** Less than `most`, or one owner could have all. */
  readonly mostOfOne: number;
}

interface Share {
  running: number;
  readonly waiting: (() => void)[];
}

export function createLimit({ most, mostOfOne }: LimitOptions): Limit {
  /** In the order in which they have their turn. */
  const shares = new Map<string, Share>();
  let free = most;

  async function enter(owner: string): Promise<void> {
    const share = shares.get(owner) ?? { running: 0, waiting: [] };
    shares.set(owner, share);
    await new Promise<void>(resolve => {
      share.waiting.push(resolve);
      startNext();
    });
  }

  function startNext(): void {
    for (const [owner, share] of shares) {
      if (free === 0) return;
      if (share.running >= mostOfOne) continue;
      const start = share.waiting.shift();
      if (start === undefined) continue;
      free -= 1;
      share.running += 1;
      shares.delete(owner);
      shares.set(owner, share);
      start();
      return;
    }
  }

  function leave(owner: string): void {
    const share = shares.get(owner);
    free += 1;
    if (share !== undefined) share.running -= 1;
    if (share?.running === 0 && share.waiting.length === 0) shares.delete(owner);
    startNext();
  }

  return async (owner, work) => {
    await enter(owner);
    try {
      return await work();
    } finally {
      leave(owner);
    }
  };
}
