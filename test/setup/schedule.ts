/** Which test file starts when: the longest first, so that none is waited for at the end, and as many at once as the processor has room for. */

export interface Need {
  /** By itself on a quiet machine. */
  readonly seconds: number;
  /** Busy on average; all of them: it measures, so nothing runs beside it. */
  readonly cores: number;
}

/** As many as the smallest machine we care for has. */
export const machineCores = 2;
/** Beside what waits most of the time there is room for others, but what starts in the same second competes. */
const mostAtOnce = 4;
const usual: Need = { seconds: 1, cores: 1 };

export type Needs = Readonly<Record<string, Need>>;

export function needOf(file: string, needs: Needs): Need {
  return needs[file] ?? usual;
}

/** @returns the first of `waiting`, which is in order, that there is room for beside `running`; undefined: wait for an end. */
export function nextFile(waiting: readonly string[], running: readonly string[], needs: Needs): string | undefined {
  if (running.length === 0) return waiting[0];
  if (running.length >= mostAtOnce) return undefined;
  const busy = running.reduce((sum, file) => sum + needOf(file, needs).cores, 0);
  // Tenths do not add up exactly.
  return waiting.find(file => busy + needOf(file, needs).cores <= machineCores + 0.001);
}

/** The longest first, but what takes the whole machine last: it would make all others wait for the end of what began before it. */
export function inOrder(files: readonly string[], needs: Needs): string[] {
  const takesAll = (file: string): boolean => needOf(file, needs).cores >= machineCores;
  return files.toSorted((a, b) => {
    if (takesAll(a) !== takesAll(b)) return takesAll(a) ? 1 : -1;
    return needOf(b, needs).seconds - needOf(a, needs).seconds;
  });
}

/** Runs each once; resolves when all have ended. */
export async function runInTurn(
  files: readonly string[],
  needs: Needs,
  run: (file: string) => Promise<void>,
): Promise<void> {
  const waiting = inOrder(files, needs);
  const running = new Set<string>();
  async function startWhatFits(): Promise<void> {
    const started: Promise<void>[] = [];
    for (;;) {
      const file = nextFile(waiting, [...running], needs);
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
