import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import { createLog } from '../../../relay/log.ts';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { claimWhatIsDue } from '../../../relay/schedule/claimer.ts';
import { HeldClaims } from '../../../relay/schedule/held.ts';
import { LeaseKeeper } from '../../../relay/schedule/leases.ts';
import { WakeableSleep } from '../../../relay/schedule/wakeable-sleep.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { message, to } from '../queue/messages.ts';

const due = 220;

/** How many were taken in each round of the event loop, until all were; `onTake` is told the number of each. */
async function rounds(onTake: (taken: number, end: () => void) => void): Promise<number[]> {
  await using folder = await temporaryFolder();
  const clock = new FakeClock();
  const log = createLog('silent');
  const queue = await openVolumeQueue({ dataDir: folder.path, minFreeDiskBytes: () => 0, clock });
  const ended = new AbortController();
  try {
    const put = Array.from({ length: due }, (_, n) => message(clock, { recipients: [to(`u@d${n % 11}.example`)] }));
    await Promise.all(put.map(one => queue.enqueue(one)));
    const held = new HeldClaims({ maxClaims: 5000, maxBytes: 2 ** 26 }, () => undefined);
    const leases = new LeaseKeeper({ queue, held, clock, log });
    const sleep = new WakeableSleep(clock);
    const inRounds: number[] = [];
    let taken = 0;
    const take = (): void => {
      taken += 1;
      onTake(taken, () => ended.abort());
    };
    const claiming = claimWhatIsDue({ queue, held, leases, sleep, clock, log, take }, ended.signal);
    for (let before = 0, idle = 0; taken < due && idle < 1e6; idle += 1) {
      await nextRound();
      if (taken > before) inRounds.push(taken - before);
      before = taken;
    }
    ended.abort();
    sleep.wake();
    await claiming;
    return inRounds;
  } finally {
    await queue.close();
  }
}

test('a claim of many is taken up over several rounds of the event loop, so that sessions have their turns between', async () => {
  const inRounds = await rounds(() => undefined);
  assert.equal(
    inRounds.reduce((sum, n) => sum + n, 0),
    due,
  );
  assert.ok(Math.max(...inRounds) <= 100, inRounds.join());
});

test('once it is to end, all that was claimed is taken up at once, so that it is given back in time', async () => {
  const inRounds = await rounds((taken, end) => {
    if (taken === 10) end();
  });
  assert.deepEqual(inRounds, [due]);
});
