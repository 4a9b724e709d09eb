import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { type AcceptFixture, header, refusals, startAccept } from './accept-fixture.ts';

async function openSessions({ metrics }: AcceptFixture): Promise<number> {
  const { values } = await metrics.postroad_accept_sessions_open.get();
  return values.reduce((sum, { value }) => sum + value, 0);
}

test('sessions beyond the limit get 421 instead of a greeting, and one that ends makes room', async () => {
  await using accept = await startAccept({ limits: { maxSessions: 3 } });
  const open = await Promise.all([1, 2, 3].map(() => Dialogue.open(accept.port())));
  using refused = await Dialogue.connect(accept.port());
  assert.match(await refused.untilClosed(), /^421 4\.3\.2 /);
  open[0]?.close();
  await waitUntil('the session is counted out', async () => (await openSessions(accept)) === 2);
  using admitted = await Dialogue.connect(accept.port());
  assert.match(await admitted.reply(), /^220 /);
  for (const client of open) client.close();
});

test('a client has its own limit, which others do not feel', async () => {
  await using accept = await startAccept({ limits: { maxSessionsPerClient: 2 } });
  const port = accept.port();
  using first = await Dialogue.open(port);
  using second = await Dialogue.open(port);
  using refused = await Dialogue.connect(port);
  assert.match(await refused.untilClosed(), /^421 4\.7\.0 /);
  assert.equal(await refusals(accept.metrics, 'TooManySessions'), 1);
  assert.match(await first.say('NOOP'), /^250 /);
  assert.match(await second.say('NOOP'), /^250 /);
});

test('a session ends after too many errors, too many commands, or too much time', async t => {
  await t.test('errors', async () => {
    await using accept = await startAccept({ limits: { maxErrorsPerSession: 3 } });
    using client = await Dialogue.open(accept.port());
    client.send('WHAT\r\n'.repeat(10));
    assert.match(await client.untilClosed(), /^(500 5\.5\.1 [^\r]*\r\n){3}421 4\.7\.0 [^\r]*\r\n$/);
  });
  await t.test('recipients over the limit are no errors', async () => {
    await using accept = await startAccept({ limits: { maxErrorsPerSession: 3, maxRecipients: 1 } });
    using client = await Dialogue.open(accept.port());
    await client.say('MAIL FROM:<a@example.com>');
    for (let index = 0; index < 10; index++) await client.say(`RCPT TO:<r${index}@example.net>`);
    assert.match(await client.say('RCPT TO:<R0@example.net>'), /^452 4\.5\.3 /);
  });
  await t.test('commands', async () => {
    await using accept = await startAccept({ limits: { maxCommandsPerSession: 10 } });
    using client = await Dialogue.open(accept.port());
    client.send('NOOP\r\n'.repeat(20));
    assert.match(await client.untilClosed(), /^(250 [^\r]*\r\n){9}421 4\.7\.0 [^\r]*\r\n$/);
  });
  await t.test('idle', async () => {
    await using accept = await startAccept({ limits: { idleTimeoutSeconds: 1 } });
    using client = await Dialogue.open(accept.port());
    assert.match(await client.untilClosed(), /^421 4\.4\.2 /);
  });
  await t.test('idle within DATA, whose spool is given back', async () => {
    await using accept = await startAccept({ limits: { idleTimeoutSeconds: 1 } });
    using client = await Dialogue.open(accept.port());
    await client.begin();
    client.send(header);
    assert.match(await client.untilClosed(), /^421 4\.4\.2 /);
    client.close();
    await waitUntil('the spool is discarded', () => accept.spools[0]?.discarded);
  });
  await t.test('a client that trickles', async () => {
    await using accept = await startAccept({ limits: { sessionTimeoutSeconds: 1 } });
    using client = await Dialogue.open(accept.port());
    await client.begin();
    const trickle = setInterval(() => client.send('x'), 50);
    assert.match(await client.untilClosed(), /^421 4\.4\.2 /);
    clearInterval(trickle);
  });
  await t.test('TLS that never begins', async () => {
    await using accept = await startAccept({
      listeners: [{}, { name: 'smtps', protocol: 'SMTPS' }],
      limits: { idleTimeoutSeconds: 1 },
    });
    using client = await Dialogue.open(accept.port());
    await client.say('STARTTLS');
    assert.equal(await client.untilClosed(), '');
    using implicit = await Dialogue.connect(accept.port('smtps'));
    assert.equal(await implicit.untilClosed(), '');
  });
});

test('no limit of time cuts a message that the queue is still storing', async t => {
  for (const limits of [{ idleTimeoutSeconds: 1 }, { sessionTimeoutSeconds: 1 }]) {
    await t.test(Object.keys(limits).join(), async () => {
      const stored = Promise.withResolvers<void>();
      await using accept = await startAccept({ limits, submit: () => stored.promise });
      using client = await Dialogue.open(accept.port());
      await client.begin();
      client.send(`${header}\r\n.\r\n`);
      using witness = await Dialogue.open(accept.port());
      // Opened later, so that its time is over after the first one's would have been.
      assert.match(await witness.untilClosed(), /^421 /);
      stored.resolve();
      assert.match(await client.reply(), /^250 2\.0\.0 queued/);
    });
  }
});

test('a client that does not read its replies is not read from', async () => {
  await using accept = await startAccept({ limits: { idleTimeoutSeconds: 1, maxCommandsPerSession: 1_000_000_000 } });
  using client = await Dialogue.open(accept.port());
  const { socket } = client;
  socket.pause();
  const lines = 'HELP\r\n'.repeat(10_000);
  let sent = 0;
  // As long as the relay reads, this gets rid of its bytes; buffers of the system hold some MiB.
  const isTaken = async (): Promise<boolean> => {
    sent += lines.length;
    if (socket.write(lines)) return true;
    const drained = once(socket, 'drain').then(() => true);
    return await Promise.race([drained, once(socket, 'close').then(() => false), delay(700, false)]);
  };
  while (sent < 200_000_000 && (await isTaken()));
  assert.ok(sent < 100_000_000, `${sent} bytes were read without a reply taken`);
  await waitUntil('the relay gives up on it', async () => (await openSessions(accept)) === 0);
});

test('thousands of slow senders cost little memory, and an honest client is served meanwhile', async () => {
  await using accept = await startAccept({ limits: { maxSessionsPerClient: 10_000 } });
  const before = process.memoryUsage().rss;
  const slow = await Promise.all(
    Array.from({ length: 2000 }, async () => {
      const client = await Dialogue.open(accept.port());
      client.send('MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nF');
      return client;
    }),
  );
  try {
    for (const client of slow) client.send('r');
    using honest = await Dialogue.open(accept.port());
    await honest.begin();
    honest.send(`${header}\r\n.\r\n`);
    assert.match(await honest.reply(), /^250 /);
    // Both ends of every session are in this process.
    const perSession = (process.memoryUsage().rss - before) / slow.length;
    assert.ok(perSession < 150_000, `${perSession} bytes a session`);
  } finally {
    for (const client of slow) client.close();
  }
  await waitUntil('all sessions end', async () => (await openSessions(accept)) === 0);
});

test('every session is counted, by the TLS it had', async () => {
  await using accept = await startAccept({ listeners: [{}, { name: 'smtps', protocol: 'SMTPS' }] });
  using plain = await Dialogue.open(accept.port());
  using upgraded = await Dialogue.open(accept.port());
  await upgraded.say('STARTTLS');
  await upgraded.beginTls();
  using implicit = await Dialogue.connectTls(accept.port('smtps'));
  await implicit.reply();
  assert.equal(await openSessions(accept), 3);
  for (const client of [plain, upgraded, implicit]) client.close();
  await waitUntil('all are closed', async () => (await openSessions(accept)) === 0);
  const { values } = await accept.metrics.postroad_accept_sessions_total.get();
  const counts = values.map(({ labels, value }) => `${labels.listener} ${labels.tls} ${value}`).sort();
  assert.deepEqual(counts, ['smtp TLSv1.3 1', 'smtp none 1', 'smtps TLSv1.3 1']);
});
