/**
 * The story: who a client is was asked once in a session. A user taken out of the Secret, or a network no longer trusted, went on
 * sending over connections that were open, for up to an hour.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

const login = `AUTH PLAIN ${Buffer.from('\0demo\0secret').toString('base64')}`;
const listeners = [{ plaintextAuthentication: 'Allowed' }] as const;

test('a user who is taken away sends no further message, but finishes the one that is under way', async () => {
  await using accept = await startAccept({ listeners, users: { demo: 'secret' }, trustedNetworks: [] });
  using client = await Dialogue.open(accept.port());
  assert.match(await client.say(login), /^235 /);
  await client.begin();
  accept.reload({ users: {} });
  client.send(`${header}\r\n.\r\n`);
  assert.match(await client.reply(), /^250 /);
  assert.match(await client.say('MAIL FROM:<a@example.com>'), /^550 5\.7\.1 /);
});

test('a user who is taken away does not become the trusted network it comes from', async () => {
  await using accept = await startAccept({ listeners, users: { demo: 'secret' } });
  using client = await Dialogue.open(accept.port());
  assert.match(await client.say(login), /^235 /);
  accept.reload({ users: {} });
  assert.match(await client.say('MAIL FROM:<a@example.com>'), /^550 5\.7\.1 /);
});

test('a changed password ends nothing', async () => {
  await using accept = await startAccept({ listeners, users: { demo: 'secret' }, trustedNetworks: [] });
  using client = await Dialogue.open(accept.port());
  assert.match(await client.say(login), /^235 /);
  accept.reload({ users: { demo: 'other' } });
  assert.match(await client.say('MAIL FROM:<a@example.com>'), /^250 /);
});

test('a network that is no longer trusted sends no further message', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  assert.match(await client.say('MAIL FROM:<a@example.com>'), /^250 /);
  assert.match(await client.say('RSET'), /^250 /);
  accept.reload({ trustedNetworks: [] });
  assert.match(await client.say('MAIL FROM:<a@example.com>'), /^550 5\.7\.1 /);
});
