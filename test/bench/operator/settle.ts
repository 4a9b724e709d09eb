/** Nothing is written while nothing changes. */
import { setTimeout as delay } from 'node:timers/promises';
import type { OperatorProcess } from '../../support/operator-process.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { cpuSecondsOf } from '../relay/usage.ts';
import { seriesOf, writesByOperator } from './operator-figures.ts';
import type { ScaleWorld } from './scale-world.ts';
import { type RequestCounts, requestCounts, since, total, writesOf } from './server-figures.ts';

export interface Stillness {
  readonly seconds: number;
  /** Of anybody, by the API server. */
  readonly writes: RequestCounts;
  readonly writesByOperator: number;
  readonly requests: RequestCounts;
  readonly operatorCpuSeconds: number;
}

/** Until nobody has written anything for `stillMs`: the controller manager has its own business to finish. */
export async function untilStill(world: ScaleWorld, { stillMs = 3000, limitMs = 120_000 } = {}): Promise<void> {
  let before = await requestCounts(world.api.server.admin);
  await waitUntil(
    'nobody writes any more',
    async () => {
      const after = await requestCounts(world.api.server.admin);
      const written = total(writesOf(since(before, after)));
      before = after;
      return written === 0;
    },
    { everyMs: stillMs, limitMs },
  );
}

export async function stillness(world: ScaleWorld, operator: OperatorProcess, seconds: number): Promise<Stillness> {
  const { admin } = world.api.server;
  const [before, seriesBefore] = [await requestCounts(admin), await seriesOf(operator)];
  const cpuBefore = await cpuSecondsOf([operator.pid]);
  await delay(seconds * 1000);
  const operatorCpuSeconds = (await cpuSecondsOf([operator.pid])) - cpuBefore;
  const requests = since(before, await requestCounts(admin));
  const own = writesByOperator(await seriesOf(operator)) - writesByOperator(seriesBefore);
  return { seconds, requests, writes: writesOf(requests), writesByOperator: own, operatorCpuSeconds };
}
