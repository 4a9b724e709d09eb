import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWithMx } from '../support/next-hop.ts';

const dsnWish = { notify: ['Success', 'Failure'], orcpt: 'rfc822;alice@orig.test' } as const;

test('what the sender wished of DSNs is passed on to a next hop that has the extension, and we send none', async () => {
  await using set = await startWithMx();
  await set.delivery.submit({
    to: [{ address: 'alice@dest.test', ...dsnWish }],
    sender: { ret: 'HDRS', envid: 'a+b c', body: '8BITMIME' },
  });
  await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  const [message] = set.mx.messages;
  assert.match(message?.mail ?? '', / BODY=8BITMIME RET=HDRS ENVID=a\+2Bb\+20c$/);
  assert.deepEqual(message?.rcpts, ['RCPT TO:<alice@dest.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;alice@orig.test']);
});

test('a next hop without the DSN extension gets no parameters, and the sender is told that the message was relayed', async () => {
  await using set = await startWithMx({ extensions: ['PIPELINING'] });
  await set.delivery.submit({ to: [{ address: 'alice@dest.test', ...dsnWish }] });
  await set.delivery.settled({ accepted: 2, delivered: 2, failed: 0, depth: 0 });
  assert.deepEqual(set.mx.messages[0]?.rcpts, ['RCPT TO:<alice@dest.test>']);
  assert.equal(set.mx.messages[0]?.mail, 'MAIL FROM:<app@shop.example.com>');
  assert.match(set.mx.messages[1]?.content.toString() ?? '', /Action: relayed/);
});

const utf8 = { from: 'grüße@shop.example.com', to: ['alice@dest.test'], sender: { smtputf8: true } };

test('an international address goes to a next hop that has SMTPUTF8, and is said to be one', async () => {
  await using set = await startWithMx();
  await set.delivery.submit(utf8);
  await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  assert.match(set.mx.messages[0]?.mail ?? '', /^MAIL FROM:<grüße@shop\.example\.com> .*SMTPUTF8/);
});

test('an international address fails with 5.6.7 when the next hop lacks SMTPUTF8', async () => {
  await using set = await startWithMx({ extensions: [] });
  await set.delivery.submit({ ...utf8, from: null, to: ['grüße@dest.test'] });
  await set.delivery.settled({ accepted: 1, failed: 1, depth: 0 });
  assert.deepEqual(await set.delivery.attempts(), { 'Failed Smtputf8Unsupported': 1 });
  assert.equal(
    set.mx.commands.some(line => line.includes('MAIL')),
    false,
  );
});

test('a message that may be international and is not goes to any next hop', async () => {
  await using set = await startWithMx({ extensions: [] });
  await set.delivery.submit({ to: ['alice@dest.test'], sender: { smtputf8: true } });
  await set.delivery.submit({
    to: ['bob@dest.test'],
    from: null,
    sender: { smtputf8: true },
    content: 'Subject: grüße\r\n\r\nx\r\n',
  });
  await set.delivery.settled({ accepted: 2, delivered: 1, failed: 1, depth: 0 });
});

test('REQUIRETLS is not given to a next hop that cannot keep it', async () => {
  await using set = await startWithMx({ config: { retry: { initialDelaySeconds: 600 } } });
  await set.delivery.submit({ to: ['alice@dest.test'], from: null, sender: { requireTls: true } });
  await set.delivery.submit({ to: ['bob@dest.test'], from: null });
  await set.delivery.settled({ accepted: 2, delivered: 1, failed: 0, depth: 1 });
  assert.equal(set.mx.messages[0]?.rcpts[0], 'RCPT TO:<bob@dest.test>');
});

test('a message larger than the next hop takes fails without being sent', async () => {
  await using set = await startWithMx({ extensions: ['SIZE 40'] });
  await set.delivery.submit({ to: ['alice@dest.test'], from: null, content: 'x'.repeat(100) });
  await set.delivery.settled({ accepted: 1, failed: 1, depth: 0 });
  assert.deepEqual(await set.delivery.attempts(), { 'Failed TooBigForNextHop': 1 });
});

test('a thousand recipients go in transactions that any next hop takes, those it has no room for in further ones', async () => {
  const perTransaction = 40;
  let inTransaction = 0;
  await using set = await startWithMx({
    script: ({ event }) => {
      if (event === 'MAIL') inTransaction = 0;
      if (event !== 'RCPT') return undefined;
      inTransaction += 1;
      return inTransaction > perTransaction ? '452 4.5.3 too many' : undefined;
    },
  });
  await set.delivery.submit({ to: Array.from({ length: 1000 }, (_, n) => `user${n}@dest.test`) });
  await set.delivery.settled({ accepted: 1000, delivered: 1000, failed: 0, depth: 0 });
  const reached = set.mx.messages.flatMap(({ rcpts }) => rcpts);
  assert.equal(reached.length, 1000);
  assert.equal(new Set(reached).size, 1000);
  assert.equal(set.mx.connections, 1);
});

for (const extensions of [[], ['PIPELINING'], ['CHUNKING'], ['PIPELINING', 'CHUNKING']]) {
  test(`content arrives byte for byte, small and large, with ${extensions.join(' and ') || 'no extension'}`, async () => {
    await using set = await startWithMx({ extensions });
    const lines = ['.', '..', '.x', '', 'a'.repeat(900), '\u0000\u00ff', '.'];
    const small = Buffer.from(lines.join('\r\n').concat('\r\n'), 'latin1');
    const large = Buffer.concat(Array.from({ length: 4000 }, () => small));
    for (const content of [small, large]) await set.delivery.submit({ to: ['alice@dest.test'], content, head: '' });
    await set.delivery.settled({ accepted: 2, delivered: 2, depth: 0 });
    const arrived = set.mx.messages.map(({ content }) => content).sort((a, b) => a.length - b.length);
    assert.ok(arrived[0]?.equals(small));
    assert.ok(arrived[1]?.equals(large));
  });
}

for (const smuggled of ['a\n.\nMAIL FROM:<x>\r\n', 'a\r.\r\n', '\r\n.\n', '\n.\r\n', 'a\r\n.\r', 'x\r\r\n.\r\r\n']) {
  for (const extensions of [['PIPELINING'], ['PIPELINING', 'CHUNKING'], []]) {
    test(`${JSON.stringify(smuggled)} never leaves, not even as part of a message (${extensions.join(' ')})`, async () => {
      await using set = await startWithMx({ extensions, config: { retry: { initialDelaySeconds: 600 } } });
      await set.delivery.submit({ to: ['alice@dest.test'], content: smuggled });
      await set.delivery.settled({ accepted: 1, failed: 0, depth: 1 });
      assert.deepEqual(await set.delivery.attempted(), { 'Deferred MessageUnsafe': 1 });
      assert.equal(set.mx.messages.length, 0);
      assert.equal(Buffer.concat([...set.mx.received]).includes(smuggled), false);
    });
  }
}
