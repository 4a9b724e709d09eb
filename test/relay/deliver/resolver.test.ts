import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMailResolver } from '../../../relay/deliver/resolver.ts';
import { startZone, type ZoneTable } from '../../support/zone.ts';

const table: ZoneTable = {
  'silent.test': [{ type: 'SILENT' }],
  'servfail.test': [{ type: 'SERVFAIL' }],
  'refused.test': [{ type: 'REFUSED' }],
  'empty.test': [],
  'both.test': [
    { type: 'A', data: '192.0.2.1' },
    { type: 'A', data: '192.0.2.2' },
    { type: 'AAAA', data: '2001:db8::1' },
  ],
  'mx.test': [{ type: 'MX', data: { preference: 10, exchange: 'MAIL.Mx.Test' } }],
};

function ask(nameserver: string, now: () => number = () => 0) {
  return createMailResolver({ nameservers: () => [nameserver], now, timeoutMs: 100, tries: 1 });
}

const verdicts = {
  'silent.test': 'Unavailable',
  'servfail.test': 'Unavailable',
  'refused.test': 'Unavailable',
  'empty.test': 'NoSuchRecord',
  'nowhere.test': 'NoSuchName',
};
for (const [name, verdict] of Object.entries(verdicts)) {
  test(`${name} is ${verdict} for MX and for addresses`, async () => {
    await using zone = await startZone(table);
    const resolver = ask(zone.nameserver);
    assert.equal((await resolver.mx(name)).type, verdict);
    assert.equal((await resolver.addresses(name)).type, verdict);
  });
}

test('addresses alternate between the families, and MX names are in lower case', async () => {
  await using zone = await startZone(table);
  const resolver = ask(zone.nameserver);
  const addresses = await resolver.addresses('both.test');
  assert.deepEqual(addresses.type === 'Found' && addresses.values, ['2001:db8::1', '192.0.2.1', '192.0.2.2']);
  const mx = await resolver.mx('mx.test');
  assert.deepEqual(mx.type === 'Found' && mx.values, [{ exchange: 'mail.mx.test', preference: 10 }]);
});

test('answers are kept for a time, failures of the nameserver are not', async () => {
  await using zone = await startZone(table);
  let nowMs = 0;
  const resolver = ask(zone.nameserver, () => nowMs);
  for (let n = 0; n < 3; n++) {
    await resolver.mx('mx.test');
    await resolver.mx('nowhere.test');
    await resolver.mx('servfail.test');
  }
  const count = (name: string) => zone.questions.filter(question => question === `MX ${name}`).length;
  assert.deepEqual([count('mx.test'), count('nowhere.test'), count('servfail.test')], [1, 1, 3]);
  nowMs = 3_600_000;
  await resolver.mx('mx.test');
  assert.equal(count('mx.test'), 2);
});

test('a nameserver that is silent is asked again after the same time each time, so that one that is back is soon heard', async () => {
  await using zone = await startZone(table);
  const resolver = createMailResolver({ nameservers: () => [zone.nameserver], now: () => 0, timeoutMs: 500, tries: 5 });
  const startedMs = performance.now();
  assert.equal((await resolver.mx('silent.test')).type, 'Unavailable');
  const tookMs = performance.now() - startedMs;
  assert.equal(zone.questions.filter(question => question === 'MX silent.test').length, 5);
  // 2.5 s; 8 to 15.5 s if each time were twice as long as the one before.
  assert.ok(tookMs < 7000, `${tookMs} ms`);
});

test('nameservers that change are asked from then on', async () => {
  await using first = await startZone({});
  await using second = await startZone(table);
  let nameservers: readonly string[] = [first.nameserver];
  const resolver = createMailResolver({ nameservers: () => nameservers, now: () => 0, timeoutMs: 500, tries: 1 });
  assert.equal((await resolver.addresses('both.test')).type, 'NoSuchName');
  nameservers = [second.nameserver];
  assert.equal((await resolver.mx('mx.test')).type, 'Found');
});
