import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWithMx } from '../support/next-hop.ts';

const loopback = [{ type: 'A', data: '127.0.0.1' }] as const;
const zone = {
  'null.test': [{ type: 'MX', data: { preference: 0, exchange: '.' } }],
  'implicit.test': loopback,
  'cname.test': [{ type: 'CNAME', data: 'real.test' }],
  'real.test': [{ type: 'MX', data: { preference: 5, exchange: 'alias.test' } }],
  'alias.test': [{ type: 'CNAME', data: 'mx.test' }],
  'mx.test': loopback,
  'lost.test': [{ type: 'MX', data: { preference: 5, exchange: 'gone.test' } }],
  'ours.test': [
    { type: 'MX', data: { preference: 10, exchange: 'mail.example.com' } },
    { type: 'MX', data: { preference: 20, exchange: 'mx.test' } },
  ],
  'backup.test': [
    { type: 'MX', data: { preference: 10, exchange: 'mx.test' } },
    { type: 'MX', data: { preference: 20, exchange: 'mail.example.com' } },
  ],
  'six.test': [{ type: 'MX', data: { preference: 5, exchange: 'both.test' } }],
  'both.test': [
    { type: 'AAAA', data: '100::1' },
    { type: 'A', data: '127.0.0.1' },
  ],
  'broken.test': [{ type: 'SERVFAIL' }],
  'brokenhost.test': [{ type: 'MX', data: { preference: 5, exchange: 'broken.test' } }],
  'many.test': Array.from(
    { length: 60 },
    (_, n) => ({ type: 'MX', data: { preference: 5, exchange: n === 0 ? 'mx.test' : `h${n}.many.test` } }) as const,
  ),
} as const;

const outcomes: Record<string, Record<string, number>> = {
  'nowhere.test': { 'Failed NoSuchDomain': 1 },
  'null.test': { 'Failed NullMx': 1 },
  'lost.test': { 'Failed NoAddress': 1 },
  'ours.test': { 'Failed RoutingLoop': 1 },
  'implicit.test': { 'Delivered Accepted': 1 },
  'cname.test': { 'Delivered Accepted': 1 },
  'backup.test': { 'Delivered Accepted': 1 },
  'six.test': { 'Delivered Accepted': 1 },
  '[127.0.0.1]': { 'Delivered Accepted': 1 },
  'broken.test': { 'Deferred DnsUnavailable': 1 },
  'brokenhost.test': { 'Deferred DnsUnavailable': 1 },
};

for (const [domain, expected] of Object.entries(outcomes)) {
  test(`mail for ${domain} is ${Object.keys(expected)[0]}`, async () => {
    await using set = await startWithMx({
      zone,
      config: { retry: { initialDelaySeconds: 600 }, delivery: { connectTimeoutSeconds: 1 } },
    });
    await set.delivery.submit({ to: [`alice@${domain}`], from: null });
    const [outcome = ''] = Object.keys(expected);
    await set.delivery.settled({
      accepted: 1,
      delivered: outcome.startsWith('Delivered') ? 1 : 0,
      failed: outcome.startsWith('Failed') ? 1 : 0,
    });
    assert.deepEqual(await set.delivery.attempted(), expected);
  });
}

test('an answer too long for UDP is asked for again over TCP', async () => {
  await using set = await startWithMx({ zone });
  set.zone.truncate = true;
  await set.delivery.submit({ to: ['alice@cname.test'] });
  await set.delivery.settled({ accepted: 1, delivered: 1, depth: 0 });
  assert.ok(set.zone.tcpQuestions.includes('MX cname.test'));
});

test('names are asked as they are, never under a search domain, and only once while the answer is fresh', async () => {
  await using set = await startWithMx({ zone });
  for (let n = 0; n < 5; n++) await set.delivery.submit({ to: [`u${n}@cname.test`] });
  await set.delivery.settled({ accepted: 5, delivered: 5, depth: 0 });
  assert.deepEqual(set.zone.questions.toSorted(), ['A alias.test', 'AAAA alias.test', 'MX cname.test']);
});

test('domains with the same MX hosts share connections', async () => {
  await using set = await startWithMx({
    zone: {
      'a.test': [{ type: 'MX', data: { preference: 1, exchange: 'mx.test' } }],
      'b.test': [{ type: 'MX', data: { preference: 9, exchange: 'mx.test' } }],
      'mx.test': loopback,
    },
  });
  await set.delivery.submit({ to: ['alice@a.test'] });
  await set.delivery.settled({ delivered: 1 });
  await set.delivery.submit({ to: ['bob@b.test'] });
  await set.delivery.settled({ delivered: 2, depth: 0 });
  assert.equal(set.mx.connections, 1);
});
