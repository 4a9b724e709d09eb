import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, systemClock } from '../../relay/clock.ts';
import { startWithMx } from '../support/next-hop.ts';
import { waitUntil } from '../support/wait-until.ts';

/** A clock that somebody sets: time goes on as ever, and what it says jumps. A relay that was stopped for long sees the same. */
class SettableClock implements Clock {
  offsetMs = 0;

  now(): number {
    return systemClock.now() + this.offsetMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await systemClock.sleep(ms, signal);
  }
}

for (const offsetMs of [600_000, -600_000]) {
  test(`what is under way when the clock jumps by ${offsetMs / 1000} s is finished, and not delivered a second time`, async () => {
    const released = Promise.withResolvers<void>();
    const clock = new SettableClock();
    await using set = await startWithMx({
      script: async ({ event }) => {
        if (event === 'BDAT') await released.promise;
        return undefined;
      },
      delivery: { clock },
    });
    for (let n = 0; n < 20; n++) await set.delivery.submit({ to: [`u${n}@dest.test`] });
    await waitUntil('five are under way', () => set.mx.commands.filter(line => line.includes('BDAT')).length === 5);
    clock.offsetMs = offsetMs;
    // Anything makes the scheduler look for what is due.
    set.delivery.scheduler.offer([]);
    await set.delivery.enqueue({ to: ['later@dest.test'] });
    set.delivery.scheduler.offer([]);
    await waitUntil('the scheduler has looked', async () => (await set.delivery.queue.stats()).depth.Leased === 21);
    released.resolve();
    await set.delivery.settled({ accepted: 21, delivered: 21, depth: 0 });
    assert.equal(set.mx.messages.length, 21);
  });
}

test('mail that another owner took over meanwhile is let go of: its outcome is not kept, and nothing is lost', async () => {
  const released = Promise.withResolvers<void>();
  const clock = new SettableClock();
  await using set = await startWithMx({
    script: async ({ event }) => {
      if (event === 'BDAT') await released.promise;
      return undefined;
    },
    delivery: { clock },
  });
  const { queue, submit, settled } = set.delivery;
  await submit({ to: ['alice@dest.test'] });
  await waitUntil('it is under way', () => set.mx.commands.some(line => line.includes('BDAT')));
  clock.offsetMs = 600_000;
  const [taken] = await queue.claim({ limit: 10, limitPerDestination: 10, leaseMs: 600_000 });
  assert.ok(taken !== undefined);
  released.resolve();
  await waitUntil(
    'the first owner has its answer',
    async () => (await set.delivery.attempts())['Delivered Accepted'] === 1,
  );
  assert.equal((await settled({ accepted: 1, delivered: 0 })).depth.Leased, 1);
  await queue.settle({ claim: taken, outcomes: [{ index: 0, result: 'Delivered' }], messages: [] });
  await settled({ accepted: 1, delivered: 1, depth: 0 });
});
