/** What the operator says of itself, and what Linux says of its process. */
import { readFile } from 'node:fs/promises';
import type { OperatorProcess } from '../../support/operator-process.ts';

/** By series, as `name{labels}`. */
export type Series = ReadonlyMap<string, number>;

export async function seriesOf(operator: OperatorProcess): Promise<Series> {
  const { text } = await operator.get('/metrics');
  const found = text.matchAll(/^([a-z_]+(?:\{[^}]*\})?) (\S+)$/gm);
  return new Map([...found].map(([, name = '', value]) => [name, Number(value)]));
}

/** All series of a name whose labels are as given. */
export function sum(series: Series, name: string, labels: Readonly<Record<string, string>> = {}): number {
  let found = 0;
  for (const [key, value] of series) {
    const isAsked = key === name || key.startsWith(`${name}{`);
    if (isAsked && Object.entries(labels).every(([label, said]) => key.includes(`${label}="${said}"`))) found += value;
  }
  return found;
}

/** What it has written: objects, and events, which are objects as well. */
export function writesByOperator(series: Series): number {
  const results = ['Created', 'Updated', 'Deleted'];
  const objects = results.map(result => sum(series, 'postroad_operator_writes_total', { result }));
  const events = ['Created', 'Repeated'].map(result => sum(series, 'postroad_operator_events_total', { result }));
  return [...objects, ...events].reduce((one, other) => one + other, 0);
}

/** Of `postroad_operator_writes_total` without those that changed nothing, by kind and result. */
export function writesByKind(series: Series): ReadonlyMap<string, number> {
  const found = [...series].flatMap(([key, value]) => {
    const [, kind, result] = /^postroad_operator_writes_total\{kind="(\w+)",result="(\w+)"\}$/.exec(key) ?? [];
    const counts = kind !== undefined && result !== 'Unchanged' && result !== 'Gone' && value > 0;
    return counts ? [[`${kind} ${result}`, value] as const] : [];
  });
  return new Map(found);
}

/** Of a name, each that is not zero, by what its labels say. */
export function labelled(series: Series, name: string): ReadonlyMap<string, number> {
  const found = [...series].filter(([key, value]) => key.startsWith(`${name}{`) && value !== 0);
  return new Map(
    found.map(([key, value]) => [[...key.matchAll(/"([^"]*)"/g)].map(([, said]) => said).join(' '), value]),
  );
}

/** Keys that wait for a worker or are being worked on. */
export function busy(series: Series): number {
  const started = sum(series, 'postroad_operator_reconcile_oldest_seconds') > 0 ? 1 : 0;
  return sum(series, 'postroad_operator_queue_depth') + started;
}

/** The highest it has ever been, and what it is. */
export async function rssOf(pid: number): Promise<{ readonly peakBytes: number; readonly nowBytes: number }> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);
  return { peakBytes: kilobytes('VmHWM') * 1024, nowBytes: kilobytes('VmRSS') * 1024 };
}
