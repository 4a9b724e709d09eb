import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDelivery } from '../support/delivery.ts';
import { startWithMx, usualZone } from '../support/next-hop.ts';
import { startScriptedMx } from '../support/scripted-mx.ts';
import { waitUntil } from '../support/wait-until.ts';
import { startZone } from '../support/zone.ts';

const twoHosts = {
  'dest.test': [
    { type: 'MX', data: { preference: 20, exchange: 'second.test' } },
    { type: 'MX', data: { preference: 10, exchange: 'first.test' } },
  ],
  'first.test': [{ type: 'A', data: '127.0.0.2' }],
  'second.test': [{ type: 'A', data: '127.0.0.1' }],
} as const;

test('when nobody answers at the best MX, the next one gets the mail', async () => {
  await using set = await startWithMx({ zone: twoHosts });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  assert.equal(set.mx.messages.length, 1);
});

for (const greeting of ['554 no mail from you', '421 4.3.2 busy', '220 hello\r\n']) {
  test(`when the best MX greets with ${JSON.stringify(greeting)}, the next one gets the mail`, async () => {
    await using set = await startWithMx({ zone: twoHosts });
    await using first = await startScriptedMx({
      address: '127.0.0.2',
      port: set.mx.port,
      script: ({ event }) => {
        if (event === 'GREETING') return greeting;
        return greeting.startsWith('220') ? { close: 'reset' } : undefined;
      },
    });
    await set.delivery.submit({ to: ['alice@dest.test'] });
    await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
    assert.equal(first.messages.length, 0);
    assert.deepEqual(await set.delivery.attempts(), { 'Delivered Accepted': 1 });
  });
}

test('when every MX refuses for good at the greeting, the message fails with that reply', async () => {
  await using set = await startWithMx({
    script: ({ event }) => (event === 'GREETING' ? '554 5.7.1 blocked' : undefined),
  });
  await set.delivery.submit({ to: ['alice@dest.test'], from: null });
  await set.delivery.settled({ accepted: 1, failed: 1, depth: 0 });
  assert.deepEqual(await set.delivery.attempts(), { 'Failed GreetingRejected': 1 });
});

test('mail for an MX that does not answer waits at no cost: one message finds out, the others count no attempt', async () => {
  await using zone = await startZone(usualZone);
  await using closed = await startScriptedMx();
  const { port } = closed;
  await closed[Symbol.asyncDispose]();
  await using delivery = await startDelivery({
    config: { nameservers: [zone.nameserver], delivery: { mxPort: port }, retry: { initialDelaySeconds: 600 } },
  });
  for (let n = 0; n < 300; n++) await delivery.submit({ to: [`user${n}@dest.test`] });
  await waitUntil('all wait', async () => (await delivery.queue.stats()).depth.Waiting === 300);
  const entries = await delivery.entries();
  assert.equal(entries.filter(({ attempts }) => attempts > 0).length, 1);
  assert.equal(delivery.scheduler.hasRoom('direct/dest.test'), false);
  assert.deepEqual(await delivery.attempts(), { 'Deferred ConnectFailed': 1 });
  await delivery.settled({ accepted: 300, delivered: 0, failed: 0, depth: 300 });
});

test('a lane that rested delivers all that waited once the MX is back', async () => {
  await using set = await startWithMx({
    script: ({ event, count }) => (event === 'GREETING' && count <= 2 ? '421 4.3.2 busy' : undefined),
  });
  for (let n = 0; n < 50; n++) await set.delivery.submit({ to: [`user${n}@dest.test`] });
  await set.delivery.settled({ accepted: 50, delivered: 50, failed: 0, depth: 0 });
  assert.equal(new Set(set.mx.messages.map(({ rcpts }) => rcpts[0])).size, 50);
  assert.equal(set.mx.messages.length, 50);
});
