import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWithMx } from '../support/next-hop.ts';

test('a next hop that closes the connection after each message it took is no next hop in trouble', async () => {
  await using set = await startWithMx({
    script: ({ event }) => (event === 'BDAT' ? { reply: '250 2.0.0 taken', close: 'end' } : undefined),
    // A rest would outlast the test.
    config: { retry: { initialDelaySeconds: 600 } },
  });
  for (let n = 0; n < 40; n++) await set.delivery.submit({ to: [`u${n}@dest.test`] });
  await set.delivery.settled({ accepted: 40, delivered: 40, depth: 0 });
  assert.equal(set.mx.connections, 40);
  assert.deepEqual(await set.delivery.attempts(), { 'Delivered Accepted': 40 });
});
