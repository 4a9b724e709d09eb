import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findNextHop, inOrderOfTrial } from '../../../relay/deliver/next-hop.ts';
import type { Lookup, MailResolver, MxRecord } from '../../../relay/deliver/resolver.ts';

function resolver(
  mx: Lookup<MxRecord>,
  addresses: Lookup<string> = { type: 'Found', values: ['192.0.2.1'] },
): MailResolver {
  return { mx: async () => mx, addresses: async () => addresses, cancel: () => undefined };
}

const records = (...values: [number, string][]): Lookup<MxRecord> => ({
  type: 'Found',
  values: values.map(([preference, exchange]) => ({ preference, exchange })),
});

async function find(mx: Lookup<MxRecord>, addresses?: Lookup<string>) {
  return await findNextHop(resolver(mx, addresses), 'dest.test', 'Relay.Example.com');
}

test('the key depends on hosts and their order, not on numbers or the order of records', async () => {
  const keys = await Promise.all(
    [
      records([10, 'b'], [10, 'a'], [20, 'c']),
      records([5, 'c'], [1, 'a'], [1, 'b']),
      records([10, 'a'], [20, 'b'], [20, 'c']),
    ].map(async mx => {
      const found = await find(mx);
      return 'nextHop' in found ? found.nextHop.key : '';
    }),
  );
  assert.equal(keys[0], keys[1]);
  assert.notEqual(keys[0], keys[2]);
});

const setbacks: Record<string, readonly [Lookup<MxRecord>, Lookup<string>?]> = {
  'Failed NullMx': [records([0, ''])],
  'Failed NoSuchDomain': [{ type: 'NoSuchName' }],
  'Failed NoAddress': [{ type: 'NoSuchRecord' }, { type: 'NoSuchRecord' }],
  'Failed RoutingLoop': [records([10, 'relay.example.com'], [10, 'other'])],
  'Deferred DnsUnavailable': [{ type: 'Unavailable', code: 'ESERVFAIL' }],
};
for (const [expected, [mx, addresses]] of Object.entries(setbacks)) {
  test(`${JSON.stringify(mx)} and ${JSON.stringify(addresses)} is ${expected}`, async () => {
    const found = await find(mx, addresses);
    assert.equal('setback' in found ? `${found.setback.result} ${found.setback.reason}` : '', expected);
  });
}

test('a domain without MX whose address look-up fails is deferred', async () => {
  const found = await find({ type: 'NoSuchRecord' }, { type: 'Unavailable', code: 'ETIMEOUT' });
  assert.equal('setback' in found && found.setback.reason, 'DnsUnavailable');
});

test('hosts of worse preference than our own are not tried', async () => {
  const found = await find(records([5, 'best'], [10, 'relay.example.com'], [20, 'backup']));
  assert.deepEqual('nextHop' in found && found.nextHop.hosts.map(({ name }) => name), ['best']);
});

test('an address literal is its own next hop', async () => {
  const found = await findNextHop(resolver({ type: 'NoSuchName' }), '[IPv6:2001:db8::1]', 'relay');
  assert.deepEqual('nextHop' in found && found.nextHop.hosts, [{ name: '2001:db8::1', preference: 0 }]);
});

test('a huge MX set is cut to its best', async () => {
  const found = await find(records(...Array.from({ length: 500 }, (_, n): [number, string] => [n, `h${n}`])));
  assert.equal('nextHop' in found && found.nextHop.hosts.length, 16);
});

test('hosts are tried by preference, and equals in any order', () => {
  const hosts = fc.array(fc.record({ name: fc.string(), preference: fc.nat(3) }), { maxLength: 10 });
  fc.assert(
    fc.property(hosts, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (all, draws) => {
      const order = inOrderOfTrial(all, () => draws.next().value);
      assert.equal(order.length, all.length);
      assert.ok(order.every((host, n) => n === 0 || (order[n - 1]?.preference ?? 0) <= host.preference));
    }),
  );
  const [a, b] = [
    { name: 'a', preference: 1 },
    { name: 'b', preference: 1 },
  ];
  const draws = [0.9, 0.1];
  assert.equal(inOrderOfTrial([a, b], () => draws.shift() ?? 0)[0], b);
});
