/** Runs schedules side by side on a Redis of its own. */
import { readScripts } from '../../../../relay/queue/redis/scripts.ts';
import { scriptsWithoutFencing } from '../../../audit/scripts-without-fencing.ts';
import { startRedis } from '../../../support/redis.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { Schedule } from './schedule.ts';
import { ScriptServer } from './server.ts';

export interface SimulationOptions {
  readonly schedules: number;
  readonly firstSeed: number;
  /** false: a control, which must fail. */
  readonly fencing: boolean;
  /** The same. */
  readonly eras?: boolean;
  readonly say?: (line: string) => void;
}

const sideBySide = 100;
const steps = 60;
const testClock = 'local now = tonumber(ARGV[#ARGV])';

export async function simulate(options: SimulationOptions): Promise<{ failures: readonly string[]; asked: number }> {
  const { schedules, firstSeed, fencing, eras = true, say = () => undefined } = options;
  await using folder = await temporaryFolder();
  await using redis = await startRedis(folder.path, { settings: { appendonly: 'no' } });
  const server = await ScriptServer.open(
    redis.port,
    fencing ? readScripts(testClock) : scriptsWithoutFencing(testClock),
  );
  const failures: string[] = [];
  let next = 0;

  async function runNext(): Promise<void> {
    const seed = firstSeed + next;
    next += 1;
    if (next % 5000 === 0) say(`${next} schedules, ${failures.length} failed`);
    const failure = await failureOf(new Schedule(server, seed, { eras }));
    if (failure === undefined) return;
    failures.push(failure);
    if (failures.length <= 20) say(failure);
  }

  async function worker(): Promise<void> {
    while (next < schedules) await runNext();
  }

  try {
    await Promise.all(Array.from({ length: sideBySide }, worker));
    return { failures, asked: server.asked };
  } finally {
    server.close();
  }
}

async function failureOf(schedule: Schedule): Promise<string | undefined> {
  try {
    await schedule.run(steps);
    return undefined;
  } catch (error) {
    // The stack was written before the seed was known.
    return error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error);
  }
}
