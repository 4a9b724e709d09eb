import { setTimeout as delay } from 'node:timers/promises';
import { machineCpuSeconds } from './usage.ts';

const lookMs = 1000;
/** Of a core. */
const quietBelow = 0.25;

/** Waits until nothing else uses the machine, at most so long: what runs beside a pair is in its figures. */
export async function untilQuiet(limitSeconds: number): Promise<void> {
  const deadline = performance.now() + limitSeconds * 1000;
  while (performance.now() < deadline) {
    const before = await machineCpuSeconds();
    await delay(lookMs);
    if (((await machineCpuSeconds()) - before) / (lookMs / 1000) < quietBelow) return;
  }
}
