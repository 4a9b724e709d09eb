/** Which test file starts when: those with the most work first, and as many at once as the processor has room for. */

export interface Need {
  /** By itself on a quiet machine. */
  readonly seconds: number;
  /** Busy on average. */
  readonly cores: number;
  /** What no two that run at once may have: each has it in a moment that the other would spoil. */
  readonly alone?: readonly string[];
}

/** For what measures, so that nothing runs beside it. The smallest machine we care for has as many. */
export const allCores = 2;
/** None is busy all the time, so there is room for a little more than there are cores. */
const room = 2.25;
/** Files that wait most of the time are busy all at once when they start. */
const mostAtOnce = 4;
const usual: Need = { seconds: 1, cores: 0.65 };

export type Needs = Readonly<Record<string, Need>>;

export function needOf(file: string, needs: Needs): Need {
  return needs[file] ?? usual;
}

/** @returns the first of `waiting` that there is room for beside `running`; undefined: something must end before. */
export function nextFile(
  waiting: readonly string[],
  running: readonly string[],
  needs: Needs,
  most = mostAtOnce,
): string | undefined {
  if (running.length === 0) return waiting[0];
  const busy = running.map(file => needOf(file, needs).cores);
  if (running.length >= most || Math.max(...busy) >= allCores) return undefined;
  const left = room - busy.reduce((sum, cores) => sum + cores, 0);
  const taken = new Set(running.flatMap(file => needOf(file, needs).alone ?? []));
  return waiting.find(file => {
    const { cores, alone = [] } = needOf(file, needs);
    return cores <= Math.min(left, allCores - 0.1) && alone.every(each => !taken.has(each));
  });
}

/**
 * What keeps the most work from running beside it goes first, with that work: it is what a run waits for in the end. What waits goes late:
 * it fits beside whatever else is left. What takes all cores goes last: others would wait for its turn.
 */
export function inOrder(files: readonly string[], needs: Needs): string[] {
  const workOf = (file: string): number => needOf(file, needs).seconds * needOf(file, needs).cores;
  const takesAll = (file: string): number => (needOf(file, needs).cores >= allCores ? 1 : 0);
  function chainOf(file: string): number {
    const mine = new Set(needOf(file, needs).alone);
    if (mine.size === 0) return 0;
    const others = files.filter(other => needOf(other, needs).alone?.some(each => mine.has(each)));
    return others.reduce((sum, other) => sum + workOf(other), 0);
  }
  const chains = new Map(files.map(file => [file, chainOf(file)]));
  return files.toSorted(
    (a, b) => takesAll(a) - takesAll(b) || (chains.get(b) ?? 0) - (chains.get(a) ?? 0) || workOf(b) - workOf(a),
  );
}

/** Runs each once; resolves when all have ended. */
export async function runInTurn(
  files: readonly string[],
  needs: Needs,
  run: (file: string) => Promise<void>,
  most = mostAtOnce,
): Promise<void> {
  const waiting = inOrder(files, needs);
  const running = new Set<string>();
  async function startWhatFits(): Promise<void> {
    const started: Promise<void>[] = [];
    for (;;) {
      const file = nextFile(waiting, [...running], needs, most);
      if (file === undefined) break;
      waiting.splice(waiting.indexOf(file), 1);
      running.add(file);
      started.push(runOne(file));
    }
    await Promise.all(started);
  }
  async function runOne(file: string): Promise<void> {
    await run(file);
    running.delete(file);
    await startWhatFits();
  }
  await startWhatFits();
}
