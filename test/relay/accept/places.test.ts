/**
 * The stories: a client that opened connections to a TLS port and said nothing had no session yet, so the limit on its sessions did not
 * hold, and it could take every place that there is. And a queue that got stuck kept its clients waiting for ever, while those
 * that gave up and came again left a message behind each time, without bound.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { header, refusals, startAccept } from './accept-fixture.ts';

const message = `${header}\r\nhi\r\n.\r\n`;

test('connections that never finish their handshake count against the limit of their client', async () => {
  await using accept = await startAccept({
    listeners: [{ name: 'smtps', protocol: 'SMTPS' }],
    limits: { maxSessions: 20, maxSessionsPerClient: 5 },
  });
  const port = accept.port('smtps');
  const silent = Array.from({ length: 20 }, () => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3' });
    // It is reset, or it is not: that is counted below.
    return socket.on('error', () => undefined);
  });
  await waitUntil('the others are turned away', async () => (await refusals(accept.metrics, 'TooManySessions')) === 15);
  using other = await Dialogue.connectTls(port);
  assert.match(await other.reply(), /^220 /);
  for (const socket of silent) socket.destroy();
  await waitUntil('its places are free again', async () => {
    const again = await Dialogue.connectTls(port).catch(() => undefined);
    again?.close();
    return again;
  });
});

test('places of sessions are given back however they end', async () => {
  await using accept = await startAccept({
    listeners: [{}, { name: 'smtps', protocol: 'SMTPS' }],
    limits: { maxSessions: 2, idleTimeoutSeconds: 1 },
  });
  // A server hears of an end later than the client that made it.
  const placed = async () =>
    await waitUntil('a place', async () => await Dialogue.open(accept.port()).catch(() => undefined));
  for (let round = 0; round < 3; round++) {
    const garbage = await Dialogue.connect(accept.port('smtps'));
    garbage.send('EHLO what\r\n\r\n');
    await garbage.untilClosed();
    const leaving = await Dialogue.connect(accept.port('smtps'));
    leaving.close();
    const upgraded = await placed();
    await upgraded.say('STARTTLS');
    await upgraded.beginTls();
    upgraded.close();
    const failing = await placed();
    await failing.say('STARTTLS');
    failing.send('no TLS\r\n');
    await failing.untilClosed();
  }
  await waitUntil('both places are free', async () => {
    const both = [
      await Dialogue.connect(accept.port()),
      await Dialogue.connectTls(accept.port('smtps')).catch(() => undefined),
    ];
    const greetings = await Promise.all(both.map(client => client?.reply()));
    for (const client of both) client?.close();
    return greetings.every(greeting => greeting?.startsWith('220'));
  });
});

test('a queue that is stuck is told 451 in bounded time, and what it gets done at last counts once', async () => {
  const stored = Promise.withResolvers<void>();
  await using accept = await startAccept({
    submit: () => stored.promise,
    storeLimitMs: 500,
    limits: { idleTimeoutSeconds: 1 },
  });
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send(message);
  assert.match(await client.untilClosed(), /^451 4\.3\.0 [^\r]*\r\n$/);
  assert.equal(await refusals(accept.metrics, 'QueueUnavailable'), 1);
  stored.resolve();
  await waitUntil('the message is counted', async () => {
    const { values } = await accept.metrics.postroad_accept_recipients_total.get();
    return values[0]?.value === 1;
  });
});

test('clients that were told so keep their place until their message is stored', async () => {
  const stored = Promise.withResolvers<void>();
  await using accept = await startAccept({
    submit: () => stored.promise,
    storeLimitMs: 500,
    limits: { maxSessionsPerClient: 3, idleTimeoutSeconds: 1 },
  });
  const clients = await Promise.all([1, 2, 3].map(() => Dialogue.open(accept.port())));
  for (const client of clients) {
    await client.begin();
    client.send(message);
  }
  for (const client of clients) assert.match(await client.untilClosed(), /^451 /);
  for (const client of clients) client.close();
  const { metrics } = accept;
  await waitUntil('their sessions are over', async () => {
    const { values } = await metrics.postroad_accept_sessions_open.get();
    return values.every(({ value }) => value === 0);
  });
  using refused = await Dialogue.connect(accept.port());
  assert.match(await refused.untilClosed(), /^421 4\.7\.0 /);
  stored.resolve();
  await waitUntil('there is room again', async () => {
    using client = await Dialogue.connect(accept.port());
    return (await client.reply()).startsWith('220');
  });
  assert.equal(accept.messages.length, 3);
});
