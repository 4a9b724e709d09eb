import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWithMx } from '../support/next-hop.ts';

for (const last of [
  { close: 'reset' },
  { close: 'end' },
  { reply: '421 4.4.2 idle too long', close: 'end' },
] as const) {
  test(`a reused connection that dies on MAIL (${JSON.stringify(last)}) costs no attempt: the message goes over a fresh one`, async () => {
    await using set = await startWithMx({
      script: ({ event, connection, line }) =>
        event === 'MAIL' && connection === 1 && line.includes('second') ? last : undefined,
    });
    await set.delivery.submit({ to: ['alice@dest.test'] });
    await set.delivery.settled({ delivered: 1 });
    await set.delivery.submit({ to: ['bob@dest.test'], from: 'second@shop.example.com' });
    await set.delivery.settled({ accepted: 2, delivered: 2, failed: 0, depth: 0 });
    assert.deepEqual(await set.delivery.attempts(), { 'Delivered Accepted': 2 });
    assert.equal(set.mx.connections, 2);
  });
}

test('a fresh connection that dies on MAIL is an attempt', async () => {
  await using set = await startWithMx({
    script: ({ event, count }) => (event === 'MAIL' && count === 1 ? { close: 'reset' } : undefined),
  });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  const attempts = await set.delivery.attempts();
  assert.equal(Object.entries(attempts).filter(([reason]) => reason.startsWith('Deferred ConnectionLost')).length, 1);
});

test('a connection carries many messages, up to its limit', async () => {
  await using set = await startWithMx({
    config: { delivery: { maxMessagesPerConnection: 10, maxConnectionsPerLane: 1 } },
  });
  for (let n = 0; n < 25; n++) await set.delivery.submit({ to: [`u${n}@dest.test`] });
  await set.delivery.settled({ accepted: 25, delivered: 25, depth: 0 });
  assert.equal(set.mx.connections, 3);
});
