import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

test('a message is taken, and the queue gets exactly its bytes behind what we add', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.connect(accept.port());
  assert.match(await client.reply(), /^220 mail\.example\.com ESMTP/);
  const ehlo = await client.say('EHLO client.test');
  assert.deepEqual(ehlo.split('\n'), [
    '250-mail.example.com',
    '250-SIZE 26214400',
    '250-8BITMIME',
    '250-SMTPUTF8',
    '250-PIPELINING',
    '250-ENHANCEDSTATUSCODES',
    '250-DSN',
    '250-CHUNKING',
    '250-LIMITS RCPTMAX=1000',
    '250 STARTTLS',
  ]);
  await client.begin({ to: ['b@example.net', 'B@example.net', 'b@EXAMPLE.net'] });
  client.send(`${header}\r\nhello\r\n..dot\r\n.\r\n`);
  assert.equal(await client.reply(), '250 2.0.0 queued as ID000002');
  const [message] = accept.messages;
  assert.equal(message?.content.bytes?.toString(), `${header}\r\nhello\r\n.dot\r\n`);
  assert.match(
    message.head.toString(),
    /^Received: from client\.test \(\[127\.0\.0\.1\]\)\r\n\tby mail\.example\.com \(Postroad\) with ESMTP id ID000002;\r\n\t\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000\r\nDate: [^\r]+\r\nMessage-ID: <ID000002@mail\.example\.com>\r\n$/,
  );
  assert.deepEqual(
    message.recipients.map(({ forwardPath, domain, destination }) => [forwardPath, domain, destination]),
    [
      ['b@example.net', 'example.net', 'capture'],
      ['B@example.net', 'example.net', 'capture'],
    ],
  );
  assert.equal(message.tenant, 'shop');
  assert.equal(message.policy, 'shop/shop');
  assert.equal(await client.say('QUIT'), '221 2.0.0 bye');
  assert.equal(await client.untilClosed(), '');
});
