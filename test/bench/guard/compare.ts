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

const mostPairs = 4;
const fewestPairs = 2;

/** No new pair begins after `untilMs`, once there are two. */
export async function compare({ what, warmUp, messages }: Work, sides: Sides, untilMs: number): Promise<Comparison> {
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
  const cost = async (relay: typeof here, count: number) => (await measure(relay, sink, what, count)).cpuPerThousand;
  for (const relay of [here, before]) await cost(relay, warmUp);
  const runs: { readonly here: number; readonly before: number }[] = [];
  while (runs.length < fewestPairs || (runs.length < mostPairs && performance.now() < untilMs)) {
    const ofBefore = await cost(before, messages);
    runs.push({ before: ofBefore, here: await cost(here, messages) });
  }
  return {
    here: spreadOf(runs.map(run => run.here)).median,
    before: spreadOf(runs.map(run => run.before)).median,
    ratio: spreadOf(runs.map(run => run.here / run.before)),
    pairs: runs.length,
  };
}
