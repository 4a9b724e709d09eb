import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type CountingSink, startCountingSink, wellBehaved } from './counting-sink.ts';
import { RawClient, type SendResult } from './raw-client.ts';

const content = Buffer.from('Subject: a sink\r\n\r\nhello\r\n');

async function sendMany(
  sink: CountingSink,
  count: number,
  reversePath = 'me@example.com',
): Promise<Map<string, SendResult>> {
  const results = new Map<string, SendResult>();
  let client = await RawClient.open(sink.port);
  for (let at = 0; at < count; at++) {
    if (!client.isOpen) client = await RawClient.open(sink.port);
    const recipient = `r${at}@example.net`;
    results.set(recipient, await client.send({ reversePath, recipients: [recipient], content }));
  }
  await client.quit();
  return results;
}

const recipientsWith = (results: ReadonlyMap<string, SendResult>, outcome: SendResult['outcome']): string[] =>
  [...results].filter(([, result]) => result.outcome === outcome).map(([recipient]) => recipient);

test('the sink counts exactly what it said 250 to', async () => {
  await using sink = await startCountingSink();
  await sendMany(sink, 50);
  const { receptions, counts } = await sink.record();
  assert.deepEqual(
    receptions.map(({ recipient }) => recipient),
    Array.from({ length: 50 }, (_, at) => `r${at}@example.net`),
  );
  assert.equal(counts.connections, 1);
});

test('a misbehaving sink refuses, defers and cuts off as often as told, and its record agrees with its client', async () => {
  await using sink = await startCountingSink({
    behaviour: { seed: 7, defer: 0.1, refuse: 0.05, dropBefore: 0.02, dropAfter: 0.02 },
  });
  const results = await sendMany(sink, 2000);
  const { receptions, counts } = await sink.record();
  const kept = receptions.filter(({ dropped }) => !dropped).map(({ recipient }) => recipient);
  assert.deepEqual(kept, recipientsWith(results, 'accepted'));
  const cut = recipientsWith(results, 'unknown');
  assert.equal(cut.length, counts.droppedBefore + counts.droppedAfter);
  assert.equal(recipientsWith(results, 'refused').length, counts.refused + counts.deferred);
  assert.equal(receptions.length - kept.length, counts.droppedAfter);
  for (const [name, count, share] of [
    ['deferred', counts.deferred, 0.095],
    ['refused', counts.refused, 0.05],
    ['dropped before', counts.droppedBefore, 0.018],
    ['dropped after', counts.droppedAfter, 0.018],
  ] as const) {
    assert.ok(Math.abs(count / 2000 - share) < share / 2 + 0.005, `${name}: ${count} of 2000`);
  }
});

test('a refusal stays, a deferral passes, and a DSN is never refused', async () => {
  await using sink = await startCountingSink({ behaviour: { ...wellBehaved, defer: 0.5, refuse: 0.5 } });
  const first = await sendMany(sink, 100);
  const permanent = (results: ReadonlyMap<string, SendResult>): string[] =>
    [...results].flatMap(([to, result]) => (result.outcome === 'refused' && result.reply.startsWith('5') ? [to] : []));
  const second = await sendMany(sink, 100);
  assert.deepEqual(permanent(second), permanent(first));
  assert.ok(permanent(first).length > 20);
  assert.ok(recipientsWith(second, 'accepted').length > 0);
  assert.deepEqual(permanent(await sendMany(sink, 100, '')), []);
});

test('the sink knows whom a DSN gave up on, and who only waits', async () => {
  await using sink = await startCountingSink();
  const client = await RawClient.open(sink.port);
  const dsn = [
    'Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b',
    'Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.test',
    '\r\nFinal-Recipient: rfc822; lost@example.net\r\nAction: failed\r\nStatus: 5.1.1',
    '\r\nFinal-Recipient: rfc822; late@example.net\r\nAction: delayed\r\nStatus: 4.0.0\r\n\r\n--b--\r\n',
  ].join('\r\n');
  await client.send({ reversePath: '', recipients: ['me@example.com'], content: Buffer.from(dsn) });
  await client.quit();
  assert.deepEqual((await sink.record()).receptions[0]?.failed, ['lost@example.net']);
});

test('a sink that leaves cuts its connections and refuses others, and takes mail again where it did', async () => {
  await using sink = await startCountingSink();
  const client = await RawClient.open(sink.port);
  await sink.leave();
  const cut = await client.send({ reversePath: 'me@example.com', recipients: ['cut@example.net'], content });
  assert.notEqual(cut.outcome, 'accepted');
  await assert.rejects(RawClient.open(sink.port));
  await sink.return();
  await sendMany(sink, 1);
  const { receptions } = await sink.record();
  assert.deepEqual(
    receptions.map(({ recipient }) => recipient),
    ['r0@example.net'],
  );
});

test('the sink keeps the content of mail to one domain, as it came', async () => {
  await using sink = await startCountingSink({ keptDomain: 'sample.example' });
  const client = await RawClient.open(sink.port);
  for (const domain of ['example.net', 'sample.example'])
    await client.send({ reversePath: 'me@example.com', recipients: [`a@${domain}`], content });
  await client.quit();
  const { contents } = await sink.record();
  assert.deepEqual(
    contents.map(({ recipient, content: kept }) => ({ recipient, kept: Buffer.from(kept).toString() })),
    [{ recipient: 'a@sample.example', kept: content.toString() }],
  );
});

test('a body is hashed as its sender wrote it, whatever the dots and the cuts between packets', async () => {
  await using sink = await startCountingSink({ hashBodies: true });
  const body = '.\r\n..two\r\nends with a dot.\r\n\r\n.last\r\n'.repeat(2000);
  const wire = Buffer.from(`Subject: dots\r\nX-Kept: yes\r\n\r\n${body}`.replaceAll(/^\./gm, '..'));
  const client = await RawClient.open(sink.port);
  await client.send({ reversePath: 'me@example.com', recipients: ['a@example.net'], content: wire });
  await client.quit();
  const kept = (await sink.record()).bodies.get('a@example.net');
  assert.equal(kept?.sha256, createHash('sha256').update(body).digest('hex'));
  assert.equal(kept?.header, 'Subject: dots\r\nX-Kept: yes\r\n');
});
