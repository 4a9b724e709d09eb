import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWithMx } from '../support/next-hop.ts';

test('a recipient that is deferred is tried again and delivered, the others not twice', async () => {
  await using set = await startWithMx({
    script: ({ event, line, count }) =>
      event === 'RCPT' && line.includes('bob') && count <= 2 ? '451 4.2.1 later' : undefined,
  });
  await set.delivery.submit({ to: ['alice@dest.test', 'bob@dest.test'] });
  await set.delivery.settled({ accepted: 2, delivered: 2, failed: 0, depth: 0 });
  assert.deepEqual(
    set.mx.messages.map(({ rcpts }) => rcpts),
    [['RCPT TO:<alice@dest.test>'], ['RCPT TO:<bob@dest.test>']],
  );
  assert.deepEqual(await set.delivery.attempts(), { 'Delivered Accepted': 2, 'Deferred RemoteDeferred': 1 });
});

test('each recipient has its own outcome: taken, deferred with the reply kept, refused with a DSN', async () => {
  await using set = await startWithMx({
    script: ({ event, line }) => {
      if (event !== 'RCPT') return undefined;
      if (line.includes('nobody')) return '550-5.1.1 no such\r\n550 5.1.1 mailbox';
      return line.includes('full') ? '452 4.2.2 over quota' : undefined;
    },
    config: { retry: { initialDelaySeconds: 600 } },
  });
  await set.delivery.submit({ to: ['alice@dest.test', 'nobody@dest.test', 'full@dest.test'] });
  // Four: the three, and the DSN, which goes to the MX of shop.example.com.
  await set.delivery.settled({ accepted: 4, delivered: 2, failed: 1, depth: 1 });
  const [waiting] = await set.delivery.entries();
  assert.equal(waiting?.forwardPath, 'full@dest.test');
  assert.equal(waiting.attempts, 1);
  assert.equal(waiting.lastReason, 'RemoteDeferred');
  assert.deepEqual(waiting.lastReply, { code: 452, enhanced: '4.2.2', text: 'over quota' });
  const dsn = set.mx.messages.find(({ mail }) => mail.startsWith('MAIL FROM:<>'));
  assert.deepEqual(
    dsn?.rcpts.map(rcpt => rcpt.split(' NOTIFY')[0]),
    ['RCPT TO:<app@shop.example.com>'],
  );
  assert.match(dsn.content.toString(), /Final-Recipient: rfc822; ?nobody@dest\.test[\s\S]*Status: 5\.1\.1/);
});
