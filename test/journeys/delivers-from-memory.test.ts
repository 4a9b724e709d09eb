import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDelivery } from '../support/delivery.ts';
import { startScriptedMx } from '../support/scripted-mx.ts';
import { startZone } from '../support/zone.ts';

test('a message goes out at once, whole, in one round trip, over the best MX', async () => {
  await using mx = await startScriptedMx();
  await using zone = await startZone({
    'dest.test': [{ type: 'MX', data: { preference: 10, exchange: 'mx.dest.test' } }],
    'mx.dest.test': [{ type: 'A', data: '127.0.0.1' }],
  });
  await using delivery = await startDelivery({
    config: { nameservers: [zone.nameserver], delivery: { mxPort: mx.port } },
  });
  await delivery.submit({
    to: ['alice@dest.test', 'bob@dest.test'],
    head: 'Received: r\r\n',
    content: '.dot\r\n..two\r\nend',
  });
  await delivery.settled({ accepted: 2, delivered: 2, failed: 0, depth: 0 });
  assert.equal(mx.messages.length, 1);
  const [message] = mx.messages;
  assert.equal(message?.content.toString(), 'Received: r\r\n.dot\r\n..two\r\nend');
  assert.deepEqual(message.rcpts, ['RCPT TO:<alice@dest.test>', 'RCPT TO:<bob@dest.test>']);
  assert.equal(message.mail, 'MAIL FROM:<app@shop.example.com> SIZE=29');
});

test('without CHUNKING the message is dot-stuffed, and arrives the same', async () => {
  await using mx = await startScriptedMx({ extensions: ['PIPELINING'] });
  await using zone = await startZone({
    'dest.test': [{ type: 'A', data: '127.0.0.1' }],
  });
  await using delivery = await startDelivery({
    config: { nameservers: [zone.nameserver], delivery: { mxPort: mx.port } },
  });
  await delivery.submit({ to: ['alice@dest.test'], head: 'Received: r\r\n', content: '.dot\r\n..two\r\nend\r\n' });
  await delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  assert.equal(mx.messages[0]?.content.toString(), 'Received: r\r\n.dot\r\n..two\r\nend\r\n');
  assert.match(mx.received[0]?.toString() ?? '', /\r\n\.\.dot\r\n\.\.\.two\r\nend\r\n\.\r\n$/);
});
