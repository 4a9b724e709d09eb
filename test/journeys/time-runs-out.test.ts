import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWithMx } from '../support/next-hop.ts';
import { waitUntil } from '../support/wait-until.ts';

const deferring = {
  script: ({ event, line }: { event: string; line: string }) =>
    event === 'RCPT' && line.includes('dest.test') ? '451 4.3.0 later' : undefined,
};

test('a message past its lifetime fails with 4.4.7 and its sender is told', async () => {
  await using set = await startWithMx({
    ...deferring,
    config: { retry: { initialDelaySeconds: 600, messageLifetimeSeconds: 1 } },
  });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await set.delivery.settled({ accepted: 2, delivered: 1, failed: 1, depth: 0 });
  const content = set.mx.messages[0]?.content.toString() ?? '';
  assert.match(content, /Action: failed\r\n[\s\S]*Status: 4\.4\.7/);
  assert.match(content, /last: 451 4\.3\.0\s+later/);
});

test('one warning goes out when a message has waited long enough, and it is still tried', async () => {
  await using set = await startWithMx({
    ...deferring,
    config: { retry: { initialDelaySeconds: 1, maxDelaySeconds: 1, delayWarningSeconds: 1 } },
  });
  await set.delivery.submit({ to: [{ address: 'alice@dest.test', notify: ['Delay', 'Failure'] }] });
  await set.delivery.settled({ accepted: 2, delivered: 1, failed: 0, depth: 1 });
  await waitUntil('two more attempts', async () => ((await set.delivery.entries())[0]?.attempts ?? 0) >= 4);
  assert.equal(set.mx.messages.length, 1);
  assert.match(set.mx.messages[0]?.content.toString() ?? '', /Action: delayed/);
  assert.equal((await set.delivery.queue.stats()).totals.accepted, 2);
});

test('messages that expire behind a next hop that is down are given up, though the lane rests', async () => {
  await using set = await startWithMx({
    script: ({ event, connection }) => (event === 'GREETING' && connection > 0 ? '421 4.3.2 down' : undefined),
    config: { retry: { initialDelaySeconds: 600, messageLifetimeSeconds: 1 } },
  });
  for (let n = 0; n < 20; n++) await set.delivery.submit({ to: [`u${n}@dest.test`], from: null });
  await set.delivery.settled({ accepted: 20, failed: 20, depth: 0 });
});
