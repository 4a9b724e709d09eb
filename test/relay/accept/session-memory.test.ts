/**
 * The story: each session may hold a header of 256 KiB and a thousand recipients, and nothing bounded all of them together. Four
 * thousand sessions that each sent a header and waited took 1.2 GiB, more than twice what a pod has by default.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { header, refusals, startAccept } from './accept-fixture.ts';

const memoryBytes = 1024 * 1024;
const longHeader = `${header}${`X: ${'y'.repeat(995)}\r\n`.repeat(150)}`;
const ordinary = `${header}\r\nhello\r\n.\r\n`;

async function sendOrdinary(port: number): Promise<void> {
  using client = await Dialogue.open(port);
  await client.begin();
  client.send(ordinary);
  assert.match(await client.reply(), /^250 2\.0\.0 queued/);
}

async function sendLongHeader(port: number): Promise<string> {
  using client = await Dialogue.open(port);
  await client.begin();
  client.send(`${longHeader}\r\n.\r\n`);
  return await client.reply();
}

test('headers that wait for their end are bounded over all sessions, and keep nobody from ordinary mail', async () => {
  await using accept = await startAccept({ memoryBytes });
  const port = accept.port();
  assert.match(await sendLongHeader(port), /^250 /);
  const waiting = await Promise.all(Array.from({ length: 20 }, () => Dialogue.open(port)));
  for (const client of waiting) {
    await client.begin();
    client.send(longHeader);
  }
  await waitUntil('some were refused for it', () => accept.spools.some(spool => spool.discarded));
  assert.match(await sendLongHeader(port), /^452 4\.3\.1 /);
  assert.ok((await refusals(accept.metrics, 'Overloaded')) > 0);
  await sendOrdinary(port);
  for (const client of waiting) client.close();
  await waitUntil('there is room again', async () => (await sendLongHeader(port)).startsWith('250'));
});

test('recipients are bounded over all sessions; who has some may send to these', async () => {
  await using accept = await startAccept({ memoryBytes });
  const clients = await Promise.all(Array.from({ length: 3 }, () => Dialogue.open(accept.port())));
  const counts: number[] = [];
  for (const client of clients) {
    await client.say('MAIL FROM:<a@example.com>');
    client.send(Array.from({ length: 1000 }, (_, at) => `RCPT TO:<r${at}@example.net>\r\n`).join(''));
    let taken = 0;
    for (let at = 0; at < 1000; at++) if ((await client.reply()).startsWith('250')) taken++;
    counts.push(taken);
  }
  const [, second = 0, third = 0] = counts;
  assert.equal(counts[0], 1000);
  assert.ok(second > third && third > 5, counts.join());
  await clients[2]?.say('DATA');
  clients[2]?.send(ordinary);
  assert.match((await clients[2]?.reply()) ?? '', /^250 2\.0\.0 queued/);
  assert.equal(accept.messages[0]?.recipients.length, third);
  assert.match((await clients[0]?.say('RSET')) ?? '', /^250 /);
  await clients[1]?.say('RSET');
  assert.match(await sendLongHeader(accept.port()), /^250 /);
  for (const client of clients) client.close();
});

test('what a message took is given back when it is stored, refused or abandoned', async () => {
  await using accept = await startAccept({ memoryBytes });
  using client = await Dialogue.open(accept.port());
  for (let round = 0; round < 10; round++) {
    await client.begin();
    client.send(`${longHeader}\r\n.\r\n`);
    assert.match(await client.reply(), /^250 /);
    await client.begin();
    client.send(`From: nobody@example.org\r\n${longHeader}\r\n.\r\n`);
    assert.match(await client.reply(), /^550 /);
    await client.say('MAIL FROM:<a@example.com>');
    await client.say('RCPT TO:<b@example.net>');
    client.send(`BDAT ${longHeader.length}\r\n${longHeader}`);
    assert.match(await client.reply(), /^250 /);
    assert.match(await client.say('RSET'), /^250 /);
  }
});
