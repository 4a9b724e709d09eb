/** One case on both sides in turn, each in a relay process of its own, by processor time: on a busy machine that is fairly true, rates are not. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import type { Case } from '../relay/cases.ts';
import { measure } from '../relay/measure.ts';
import { startPostroad } from '../relay/postroad-contender.ts';
import { podFlags } from '../relay/shipped.ts';
import { startSink } from '../relay/sink.ts';
import { type Spread, spreadOf } from '../relay/statistics.ts';
import type { Sides } from './sides.ts';

export interface Work {
  readonly what: Case;
  readonly warmUp: number;
  /** Of each run. */
  readonly messages: number;
}

export interface Comparison {
  /** CPU seconds per 1,000 messages, medians. */
  readonly here: number;
  readonly before: number;
  /** Pair by pair. */
  readonly ratio: Spread;
  readonly pairs: number;
}

export interface Time {
  /** After it no pair begins once there are two. */
  readonly enoughMs: number;
  /** After it no pair begins at all. */
  readonly endMs: number;
}

const mostPairs = 4;
const fewestPairs = 2;
/** Of a run of the dearer side, nearly. */
const mostCpuSeconds = 2;
const fewestMessages = 200;

/** Undefined when there was no time for two pairs. */
export async function compare(
  { what, warmUp, messages }: Work,
  sides: Sides,
  { enoughMs, endMs }: Time,
): Promise<Comparison | undefined> {
  if (performance.now() >= endMs) return undefined;
  await using folder = await temporaryFolder();
  await using sink = await startSink({ chunking: what.chunking });
  await using relays = new AsyncDisposableStack();
  const start = async (name: 'here' | 'before') => {
    const own = join(folder.path, name);
    await mkdir(own);
    const task = { folder: own, sinkPort: sink.port, sessions: what.sessions, destinations: 1 };
    const program = { name, root: sides[name], nodeOptions: podFlags };
    return relays.use(await startPostroad({ ...task, tls: undefined, dkimKeyFile: undefined }, program));
  };
  const [here, before] = [await start('here'), await start('before')];
  const cost = async (relay: typeof here, of: number) => (await measure(relay, sink, what, of)).cpuPerThousand;
  const first = { before: await cost(before, warmUp), here: await cost(here, warmUp) };
  // What has become much dearer is found out with fewer messages.
  const dearest = Math.max(first.before, first.here) / 1000;
  const count = Math.min(messages, Math.max(fewestMessages, Math.ceil(mostCpuSeconds / dearest)));
  const runs: { readonly here: number; readonly before: number }[] = [];
  while (runs.length < mostPairs && performance.now() < (runs.length < fewestPairs ? endMs : enoughMs)) {
    const ofBefore = await cost(before, count);
    runs.push({ before: ofBefore, here: await cost(here, count) });
  }
  if (runs.length < fewestPairs) return undefined;
  return {
    here: spreadOf(runs.map(run => run.here)).median,
    before: spreadOf(runs.map(run => run.before)).median,
    ratio: spreadOf(runs.map(run => run.here / run.before)),
    pairs: runs.length,
  };
}
