/** One figure of a case, and what it should be. */
export interface Finding {
  readonly what: string;
  readonly measured: string;
  readonly goal?: string;
  /** Left out where there is no goal. */
  readonly reached?: boolean;
}

export interface CaseContext {
  /** Our relay's main file, as the image has it. */
  readonly entry: string;
  readonly nodeFlags: readonly string[];
  readonly say: (line: string) => void;
}

const mib = 2 ** 20;

export function inMib(bytes: number): string {
  return `${(bytes / mib).toFixed(0)} MiB`;
}

export function below(what: string, value: number, limit: number, unit: 'MiB' | 'ms'): Finding {
  const scale = unit === 'MiB' ? mib : 1;
  const shown = value / scale;
  return {
    what,
    measured: `${shown.toFixed(shown < 10 ? 2 : 0)} ${unit}`,
    goal: `< ${limit / scale} ${unit}`,
    reached: value < limit,
  };
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
