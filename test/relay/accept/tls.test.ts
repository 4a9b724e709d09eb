import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { makeCertificate } from '../../support/certificate.ts';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

test('what was said before STARTTLS is forgotten', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.say('MAIL FROM:<a@example.com>');
  await client.say('RCPT TO:<b@example.net>');
  assert.match(await client.say('STARTTLS'), /^220 2\.0\.0 /);
  await client.beginTls();
  assert.match(await client.say('DATA'), /^503 /);
  assert.match(await client.say('MAIL FROM:<a@example.com>'), /^503 5\.5\.1 .*EHLO/);
  const ehlo = await client.say('EHLO client.test');
  assert.match(ehlo, /REQUIRETLS/);
  assert.doesNotMatch(ehlo, /STARTTLS/);
  assert.match(await client.say('STARTTLS'), /^503 /);
  assert.match(await client.say('MAIL FROM:<a@example.com> REQUIRETLS'), /^250 /);
  await client.say('RCPT TO:<b@example.net>');
  await client.say('DATA');
  client.send(`${header}\r\n.\r\n`);
  assert.match(await client.reply(), /^250 /);
  assert.equal(accept.messages[0]?.sender.requireTls, true);
  assert.match(accept.messages[0]?.head.toString() ?? '', /with ESMTPS id/);
});

test('commands pipelined behind STARTTLS are never carried out', async t => {
  await using accept = await startAccept();
  const injected = 'EHLO evil\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n';
  for (const delayed of [false, true]) {
    await t.test(delayed ? 'in a segment of their own' : 'in the same segment', async () => {
      using client = await Dialogue.open(accept.port());
      if (delayed) {
        client.send('STARTTLS\r\n');
        client.send(injected);
      } else client.send(`STARTTLS\r\n${injected}`);
      assert.match(await client.reply(), /^220 /);
      try {
        await client.beginTls();
      } catch (error) {
        // Plain text where a handshake was due breaks it: nothing was carried out.
        assert.match(String(error), /SSL|closed|ECONNRESET|disconnected/);
        return;
      }
      assert.match(await client.say('DATA'), /^503 5\.5\.1 .*EHLO/);
    });
  }
  assert.equal(accept.messages.length, 0);
});

test('where TLS is required nothing but what leads to it is answered', async () => {
  await using accept = await startAccept({ listeners: [{ tls: 'Required' }] });
  using client = await Dialogue.open(accept.port());
  for (const command of [
    'MAIL FROM:<a@example.com>',
    'RCPT TO:<b@c.de>',
    'DATA',
    'AUTH PLAIN',
    'VRFY x',
    'BDAT 1',
    'WHAT',
  ]) {
    assert.match(await client.say(command), /^530 5\.7\.0 .*STARTTLS/, command);
  }
  assert.match(await client.say('NOOP'), /^250 /);
});

test('a listener without TLS does not offer it', async () => {
  await using accept = await startAccept({ listeners: [{ tls: 'Disabled' }] });
  using client = await Dialogue.open(accept.port());
  assert.doesNotMatch(await client.say('EHLO x'), /STARTTLS/);
  assert.match(await client.say('STARTTLS'), /^502 5\.5\.1 /);
});

test('TLS 1.1 is refused', async () => {
  await using accept = await startAccept({ listeners: [{ protocol: 'SMTPS' }] });
  const socket = connectTls({
    port: accept.port(),
    host: '127.0.0.1',
    rejectUnauthorized: false,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  assert.match(`${error.code} ${error.message}`, /SSL|ECONNRESET/);
});

test('a new certificate is served from the reload on, and open sessions go on', async () => {
  await using accept = await startAccept({ listeners: [{ protocol: 'SMTPS' }, { name: 'starttls' }] });
  const fingerprint = (socket: unknown): string => (socket as TLSSocket).getPeerX509Certificate()?.fingerprint256 ?? '';
  using before = await Dialogue.connectTls(accept.port());
  await before.reply();
  accept.reload({ certificate: await makeCertificate('new.example.com') });
  using after = await Dialogue.connectTls(accept.port());
  using upgraded = await Dialogue.open(accept.port('starttls'));
  await upgraded.say('STARTTLS');
  await upgraded.beginTls();
  assert.notEqual(fingerprint(after.socket), fingerprint(before.socket));
  assert.equal(fingerprint(upgraded.socket), fingerprint(after.socket));
  assert.match(await before.say('NOOP'), /^250 /);
});

test('a client that speaks plain text to a TLS port, or goes away in its handshake, harms nobody', async () => {
  await using accept = await startAccept({ listeners: [{ protocol: 'SMTPS' }] });
  const talker = connectTcp({ port: accept.port(), host: '127.0.0.1' });
  talker.on('error', () => talker.destroy());
  talker.end('EHLO plain\r\n');
  await once(talker, 'close');
  const leaver = connectTcp({ port: accept.port(), host: '127.0.0.1' });
  await once(leaver, 'connect');
  leaver.destroy();
  using client = await Dialogue.connectTls(accept.port());
  assert.match(await client.reply(), /^220 /);
});

test('a client that comes back resumes its TLS session, until the certificate changes', async () => {
  await using accept = await startAccept({ listeners: [{ protocol: 'SMTPS' }] });
  const options = { port: accept.port(), host: '127.0.0.1', rejectUnauthorized: false };
  const first = connectTls(options);
  const [session] = (await once(first, 'session')) as [Buffer];
  first.destroy();
  const isResumed = async (): Promise<boolean> => {
    const next = connectTls({ ...options, session });
    await once(next, 'secureConnect');
    const resumed = next.isSessionReused();
    next.destroy();
    return resumed;
  };
  assert.equal(await isResumed(), true);
  accept.reload({ certificate: await makeCertificate('new.example.com') });
  assert.equal(await isResumed(), false);
});
