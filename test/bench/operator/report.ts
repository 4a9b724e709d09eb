/** Each case as lines for a terminal, its goal beside it. */
import { type Changes, percentile } from './changes.ts';
import { type Convergence, mebibytes } from './converge.ts';
import type { FleetSize } from './fleet.ts';
import { labelled, type Series, sum, writesByKind, writesByOperator } from './operator-figures.ts';
import type { Restart } from './restart.ts';
import { byVerb, listed, total, writesOf } from './server-figures.ts';
import type { Stillness } from './settle.ts';

/** Of issue and README: at 1,000 relays and 5,000 policies. */
const goals = { convergeSeconds: 300, rssMebibytes: 400, changeMs: 1000 } as const;

export function convergenceLines(figures: Convergence, { relays, policies }: FleetSize): string[] {
  const { seconds, cpuSeconds, operatorPeakRssBytes, operatorPeakHeapBytes, serverRssBytes, requests, series } =
    figures;
  const writes = writesByOperator(series);
  const threads = new Map([...figures.threadCpuSeconds].map(([name, cpu]) => [name, Number(cpu.toFixed(1))]));
  const allWrites = writesOf(requests);
  const spent = Object.entries(cpuSeconds).map(([part, cpu]) => `${part} ${cpu.toFixed(1)}`);
  const all = Object.values(cpuSeconds).reduce((sum, cpu) => sum + cpu, 0);
  return [
    `${relays} relays and ${policies} policies converged in ${seconds.toFixed(1)} s (goal ${goals.convergeSeconds})`,
    `operator: peak RSS ${mebibytes(operatorPeakRssBytes)} MiB (goal ${goals.rssMebibytes}), peak heap ${mebibytes(operatorPeakHeapBytes)} MiB; API server RSS ${mebibytes(serverRssBytes)} MiB`,
    `CPU seconds: ${spent.join(', ')}; together ${all.toFixed(1)} = ${(all / seconds).toFixed(2)} cores`,
    `  operator by thread: ${listed(threads)}`,
    `writes by the operator: ${writes} = ${(writes / relays).toFixed(1)} a relay, ${(writes / policies).toFixed(1)} a policy: ${listed(writesByKind(series))}`,
    `requests to the API server, of everybody: ${total(requests)}: ${listed(byVerb(requests))}`,
    `  writes: ${listed(allWrites, 30)}`,
    `  reads: ${listed(new Map([...requests].filter(([key]) => !allWrites.has(key))), 20)}`,
    `passes: ${['mailrelay', 'domainpolicy', 'dns'].map(queue => `${queue} ${passes(series, queue)}`).join(', ')}; ` +
      `requests by the operator: ${listed(labelled(series, 'postroad_operator_requests_total'))}; ` +
      `events: ${listed(labelled(series, 'postroad_operator_events_total'))}`,
  ];
}

function passes(series: Series, queue: string): string {
  const [all, failed] = [{ queue }, { queue, result: 'Error' }].map(labels =>
    sum(series, 'postroad_operator_reconcile_total', labels),
  );
  return failed === 0 ? `${all}` : `${all} (${failed} failed)`;
}

export function stillnessLines({
  seconds,
  writes,
  writesByOperator: own,
  requests,
  operatorCpuSeconds,
}: Stillness): string[] {
  return [
    `${seconds} s settled: ${own} writes by the operator, ${total(writes)} by anybody${total(writes) === 0 ? '' : ` (${listed(writes)})`}, ` +
      `${total(requests)} requests (${listed(byVerb(requests))}); operator CPU ${operatorCpuSeconds.toFixed(2)} s`,
  ];
}

export function changesLines({ latenciesMs, writes, disturbed }: Changes): string[] {
  const at = (share: number): string => percentile(latenciesMs, share).toFixed(0);
  const { length } = latenciesMs;
  return [
    `${length} changes of one policy each, until programmed: min ${at(1 / length)} ms, p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)} (goal ${goals.changeMs}), max ${at(1)}`,
    `  ${(total(writes) / length).toFixed(1)} writes a change, of everybody: ${listed(writes)}; other relays and policies disturbed: ${disturbed.length}`,
  ];
}

export function restartLines(title: string, figures: Restart): string[] {
  const { leadingSeconds, seconds, cpuSeconds, peakRssBytes, addedSeconds, requests } = figures;
  const added =
    addedSeconds === undefined ? [] : [`  the new relay and its policy: ready after ${addedSeconds.toFixed(2)} s`];
  return [
    `${title}: leads after ${leadingSeconds.toFixed(1)} s, has looked at everything after ${seconds.toFixed(1)} s; CPU ${cpuSeconds.toFixed(1)} s, peak RSS ${mebibytes(peakRssBytes)} MiB`,
    ...added,
    `  ${figures.writesByOperator} writes by the operator (${listed(figures.writesByKind)}), ${total(figures.writes)} by anybody; changed: ${figures.changed.slice(0, 5).join(', ') || 'nothing'}; requests ${listed(byVerb(requests))}`,
  ];
}
