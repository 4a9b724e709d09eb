/** What stands in the line of a next hop is leased and not tried: mail that nobody would miss if only the queue were asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../relay/clock.ts';
import { startWithMx } from '../support/next-hop.ts';
import { waitUntil } from '../support/wait-until.ts';

const minutesMs = 60_000;

test('mail that waits behind a next hop which says nothing is overdue, also after it has left the queue', async () => {
  let offsetMs = 0;
  const now = (): number => systemClock.now() + offsetMs;
  const clock = { now, sleep: systemClock.sleep.bind(systemClock) };
  await using set = await startWithMx({
    script: ({ event }) => (event === 'GREETING' ? 'hang' : undefined),
    delivery: { clock },
  });
  const { delivery } = set;
  for (let n = 0; n < 50; n++) await delivery.enqueue({ to: [`u${n}@dest.test`] });
  delivery.scheduler.offer([]);
  await waitUntil('all of it stands in line', async () => (await delivery.queue.stats()).depth.Leased === 50);
  offsetMs = 20 * minutesMs;
  const overdue = await delivery.scraped('postroad_queue_oldest_due_age_seconds');
  assert.ok(overdue >= 1200 && overdue < 1260, `overdue for ${overdue} s`);
});

test('what is being delivered, however slowly, is not overdue', async () => {
  const released = Promise.withResolvers<void>();
  let offsetMs = 0;
  const clock = { now: () => systemClock.now() + offsetMs, sleep: systemClock.sleep.bind(systemClock) };
  await using set = await startWithMx({
    script: async ({ event }) => {
      if (event === 'BDAT') await released.promise;
      return undefined;
    },
    delivery: { clock },
  });
  const { delivery, mx } = set;
  await delivery.submit({ to: ['alice@dest.test'] });
  await waitUntil('it is under way', () => mx.commands.some(line => line.includes('BDAT')));
  offsetMs = 20 * minutesMs;
  assert.equal(await delivery.scraped('postroad_queue_oldest_due_age_seconds'), 0);
  released.resolve();
  await delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
});
