/** What a case's runs come to, as lines for a terminal that are a Markdown table as well. */
import { type Case, describe } from './cases.ts';
import type { Figures } from './measure.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** Part of the rate on a volume that a queue in Redis is to reach. */
const redisGoal = 0.6;

export type Runs = ReadonlyMap<string, readonly Figures[]>;

const measures: readonly {
  readonly title: string;
  readonly of: (figures: Figures) => number;
  readonly digits: number;
}[] = [
  { title: 'accepted/s', of: figures => figures.acceptedPerSecond, digits: 0 },
  { title: 'end to end/s', of: figures => figures.endToEndPerSecond, digits: 0 },
  { title: 'CPU s/1,000', of: figures => figures.cpuPerThousand, digits: 3 },
  { title: 'peak RSS MiB', of: figures => figures.peak.rssBytes / 2 ** 20, digits: 0 },
  { title: 'peak PSS MiB', of: figures => figures.peak.pssBytes / 2 ** 20, digits: 0 },
];

export function report(one: Case, runs: Runs, ours: string): string[] {
  const lines = [`## ${one.name}: ${describe(one)}`, ''];
  lines.push(row(['', ...measures.map(({ title }) => title), 'generator, sink CPU s/1,000', 'sink, strangers busy']));
  lines.push(row(measures.map(() => '---').concat('---', '---', '---')));
  for (const [name, figures] of runs) lines.push(row([name, ...absolute(figures), ...ends(figures)]));
  const mine = runs.get(ours) ?? [];
  const notes: string[] = [];
  for (const [name, figures] of runs) {
    if (name === ours || mine.length === 0) continue;
    const ratios = measures.map(({ of }) => pairwise(mine, figures, of));
    lines.push(row([`**${ours} / ${name}**`, ...ratios.map(ratio => `**${format(spreadOf(ratio), 2)}**`), '', '']));
    if (name === 'postfix') lines.push('', ...verdict(one, ratios[1] ?? []));
    if (name === 'redis') notes.push(redisVerdict(ratios[1] ?? []));
  }
  return [...lines, ...notes, ''];
}

function absolute(figures: readonly Figures[]): string[] {
  return measures.map(({ of, digits }) => format(spreadOf(figures.map(of)), digits));
}

function ends(figures: readonly Figures[]): string[] {
  const median = (of: (figures: Figures) => number): number => spreadOf(figures.map(of)).median;
  return [
    `${median(one => one.generatorCpuPerThousand).toFixed(3)}, ${median(one => one.sinkCpuPerThousand).toFixed(3)}`,
    `${percent(median(one => one.sinkBusy))}, ${percent(median(one => one.strangersBusy))}`,
  ];
}

/** Pair by pair, because what disturbs the machine disturbs both of a pair. */
function pairwise(mine: readonly Figures[], theirs: readonly Figures[], of: (figures: Figures) => number): number[] {
  return mine.flatMap((figures, at) => {
    const other = theirs[at];
    return other === undefined ? [] : [of(figures) / of(other)];
  });
}

function verdict({ goal }: Case, ratios: readonly number[]): string[] {
  if (goal === undefined) return [];
  const { median } = spreadOf(ratios);
  return [
    `goal: ${goal} times Postfix end to end; ${median >= goal ? 'reached' : 'not reached'} (${median.toFixed(2)})`,
  ];
}

/** Of the rates end to end, ours on a volume to ours in Redis. */
function redisVerdict(ratios: readonly number[]): string {
  const inverse = spreadOf(ratios.map(ratio => 1 / ratio));
  const word = inverse.median >= redisGoal ? 'reached' : 'not reached';
  return `goal: in Redis ${redisGoal} of the rate end to end on a volume; ${word} (${format(inverse, 2)})`;
}

function format({ min, median, max }: Spread, digits: number): string {
  const [low, middle, high] = [min, median, max].map(value => value.toFixed(digits));
  return `${low}/${middle}/${high}`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(0)} %`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
