/** From the start of the operator until everything is as it was asked for. */
import { setTimeout as delay } from 'node:timers/promises';
import type { OperatorProcess } from '../../support/operator-process.ts';
import { cpuSecondsOf, memoryOf, threadCpuSeconds } from '../relay/usage.ts';
import type { FleetSize } from './fleet.ts';
import { rssOf, type Series, seriesOf, sum } from './operator-figures.ts';
import type { ScaleWorld } from './scale-world.ts';
import { type RequestCounts, requestCounts, since } from './server-figures.ts';

export interface Convergence {
  readonly seconds: number;
  readonly cpuSeconds: Readonly<Record<Part, number>>;
  /** Of the operator: its main thread, and those that make keys (and run Node's other work). */
  readonly threadCpuSeconds: ReadonlyMap<string, number>;
  readonly operatorPeakRssBytes: number;
  readonly operatorPeakHeapBytes: number;
  readonly serverRssBytes: number;
  readonly requests: RequestCounts;
  readonly series: Series;
}

export type Part = 'operator' | 'server' | 'etcd' | 'controllerManager' | 'dns' | 'bench';

const lookMs = 1000;
const sayEveryMs = 10_000;

export async function converge(
  world: ScaleWorld,
  size: FleetSize,
  { limitMs, say }: { readonly limitMs: number; readonly say: (line: string) => void },
): Promise<{ readonly operator: OperatorProcess; readonly figures: Convergence }> {
  const { server } = world.api;
  const before = await requestCounts(server.admin);
  const cpuBefore = await cpuOf(world, undefined);
  const startMs = performance.now();
  const operator = await world.startOperator();
  let peakHeapBytes = 0;
  let saidMs = startMs;
  while (!isDone(world, size)) {
    await delay(lookMs);
    const series = await seriesOf(operator);
    peakHeapBytes = Math.max(peakHeapBytes, sum(series, 'nodejs_heap_size_used_bytes'));
    const nowMs = performance.now();
    if (nowMs - startMs > limitMs) throw new Error(`not converged in ${limitMs} ms: ${missing(world)}`);
    if (nowMs - saidMs < sayEveryMs) continue;
    saidMs = nowMs;
    say(await progress(world, operator, series, nowMs - startMs));
  }
  const seconds = (performance.now() - startMs) / 1000;
  const cpuAfter = await cpuOf(world, operator);
  const figures = {
    seconds,
    cpuSeconds: Object.fromEntries(
      Object.entries(cpuAfter).map(([part, spent]) => [part, spent - cpuBefore[part as Part]]),
    ) as Convergence['cpuSeconds'],
    threadCpuSeconds: await threadCpuSeconds(operator.pid),
    operatorPeakRssBytes: (await rssOf(operator.pid)).peakBytes,
    operatorPeakHeapBytes: peakHeapBytes,
    serverRssBytes: (await memoryOf([server.processes.server])).rssBytes,
    requests: since(before, await requestCounts(server.admin)),
    series: await seriesOf(operator),
  };
  return { operator, figures };
}

export function isDone({ sightings: { done } }: ScaleWorld, { relays, policies }: FleetSize): boolean {
  return done.relay === relays && done.policy === policies;
}

async function progress(
  { sightings: { done } }: ScaleWorld,
  operator: OperatorProcess,
  series: Series,
  elapsedMs: number,
): Promise<string> {
  const { nowBytes } = await rssOf(operator.pid);
  const depth = ['mailrelay', 'domainpolicy', 'dns'].map(
    queue => `${queue} ${sum(series, 'postroad_operator_queue_depth', { queue })}`,
  );
  return [
    `  ${(elapsedMs / 1000).toFixed(0)} s: ${done.relay} relays, ${done.policy} policies done`,
    `RSS ${mebibytes(nowBytes)} MiB`,
    `waiting ${depth.join(', ')}`,
  ].join('; ');
}

function missing({ sightings }: ScaleWorld): string {
  const [relays, policies] = [sightings.missing('relay'), sightings.missing('policy')];
  return `${relays.length} relays (${relays.slice(0, 3)}), ${policies.length} policies (${policies.slice(0, 3)})`;
}

export async function cpuOf(
  { api, dns }: ScaleWorld,
  operator: OperatorProcess | undefined,
): Promise<Record<Part, number>> {
  const { etcd, server, controllerManager } = api.server.processes;
  const of = async (pid: number | undefined): Promise<number> => (pid === undefined ? 0 : await cpuSecondsOf([pid]));
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  return {
    operator: await of(operator?.pid),
    server: await of(server),
    etcd: await of(etcd),
    controllerManager: await of(controllerManager),
    dns: await of(dns),
    bench: (userCPUTime + systemCPUTime) / 1e6,
  };
}

export function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
