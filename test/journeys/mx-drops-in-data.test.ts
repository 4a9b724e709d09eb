import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWithMx } from '../support/next-hop.ts';

const withoutChunking = ['PIPELINING', 'SIZE', '8BITMIME'];

test('defers every recipient when the MX closes during DATA, and delivers at the next try', async () => {
  await using set = await startWithMx({
    extensions: withoutChunking,
    script: ({ event, count }) => (event === 'DATA' && count === 1 ? { close: 'end' } : undefined),
  });
  await set.delivery.submit({ to: ['alice@dest.test', 'bob@dest.test'] });
  await set.delivery.settled({ accepted: 2, delivered: 2, failed: 0, depth: 0 });
  assert.equal(set.mx.messages.length, 1);
  assert.deepEqual(await set.delivery.attempts(), { 'Deferred ConnectionLost': 2, 'Delivered Accepted': 2 });
});

for (const extensions of [withoutChunking, [...withoutChunking, 'CHUNKING']]) {
  test(`a connection lost after the message and before its reply leads to a duplicate, never to a loss (${extensions.join(' ')})`, async () => {
    await using set = await startWithMx({
      extensions,
      script: ({ event, count }) =>
        (event === 'MESSAGE' || event === 'BDAT') && count === 1 ? { close: 'reset' } : undefined,
    });
    await set.delivery.submit({ to: ['alice@dest.test'] });
    await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
    assert.deepEqual(
      set.mx.messages.map(({ accepted }) => accepted),
      [false, true],
    );
    assert.deepEqual(await set.delivery.attempts(), { 'Deferred ConnectionLostAfterData': 1, 'Delivered Accepted': 1 });
  });
}

test('an MX that answers DATA with 250 has taken nothing', async () => {
  await using set = await startWithMx({
    extensions: withoutChunking,
    script: ({ event, count }) => (event === 'DATA' && count === 1 ? '250 ok' : undefined),
  });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  assert.deepEqual(await set.delivery.attempts(), { 'Deferred ProtocolError': 1, 'Delivered Accepted': 1 });
});

test('an MX that takes DATA for no recipient gets an empty message, and the connection serves the next one', async () => {
  await using set = await startWithMx({
    extensions: withoutChunking,
    script: ({ event, line }) => (event === 'RCPT' && line.includes('nobody') ? '550 5.1.1 no' : undefined),
  });
  await set.delivery.submit({ to: ['nobody@dest.test'], from: null });
  await set.delivery.settled({ accepted: 1, failed: 1, depth: 0 });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await set.delivery.settled({ accepted: 2, delivered: 1, failed: 1, depth: 0 });
  assert.equal(set.mx.connections, 1);
  assert.ok(set.mx.commands.includes('1 RSET'));
});

test('an MX that hangs after the message is given up in time', async () => {
  await using set = await startWithMx({
    script: ({ event, count }) => (event === 'BDAT' && count === 1 ? 'hang' : undefined),
    config: { delivery: { commandTimeoutSeconds: 1 } },
  });
  await set.delivery.submit({ to: ['alice@dest.test'] });
  await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  assert.deepEqual(await set.delivery.attempts(), { 'Deferred CommandTimeoutAfterData': 1, 'Delivered Accepted': 1 });
});
