import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseNetwork, plainAddress } from '../../../relay/policy/network.ts';

const rows: readonly (readonly [network: string, address: string, inside: boolean])[] = [
  ['10.1.0.0/16', '10.1.255.255', true],
  ['10.1.0.0/16', '10.2.0.0', false],
  ['10.1.2.3/16', '10.1.0.1', true],
  ['192.0.2.1', '192.0.2.1', true],
  ['192.0.2.1', '192.0.2.2', false],
  ['0.0.0.0/0', '203.0.113.9', true],
  ['127.0.0.0/8', '::ffff:127.0.0.1', true],
  ['127.0.0.0/8', '::FFFF:127.0.0.1', true],
  ['127.0.0.0/8', '::1', false],
  ['::1/128', '::1', true],
  ['::1', '0:0:0:0:0:0:0:1', true],
  ['fd00::/8', 'fdab::1', true],
  ['fd00::/8', 'fe80::1', false],
  ['fe80::/10', 'fe80::1%eth0', true],
  ['::/0', '2001:db8::1', true],
  ['::/0', '192.0.2.1', false],
  ['::/0', '::ffff:192.0.2.1', false],
  ['0.0.0.0/0', '2001:db8::1', false],
  ['10.0.0.0/8', '', false],
  ['10.0.0.0/8', 'unix:/socket', false],
];

for (const [network, address, inside] of rows) {
  test(`${address || 'no address'} is ${inside ? '' : 'not '}in ${network}`, () => {
    assert.equal(parseNetwork(network)?.contains(address), inside);
  });
}

test('what is neither an address nor CIDR notation is no network', () => {
  const bad = [
    '',
    'localhost',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10/8',
    '10.0.0.0/0x8',
  ];
  for (const text of [...bad, 'fe80::1%eth0', '10.0.0.0/1e1', '10.0.0.0/ 8'])
    assert.equal(parseNetwork(text), undefined, text);
});

test('an IPv4 peer of a dual-stack socket is an IPv4 address', () => {
  assert.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1');
  assert.equal(plainAddress('2001:db8::1'), '2001:db8::1');
});

test('an address is in the network of any prefix of itself, and of none that differs within the prefix', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 1, max: 32 }), (address, prefix) => {
      assert.equal(parseNetwork(`${address}/${prefix}`)?.contains(address), true);
      const bits = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
      const other = (bits ^ (1 << (32 - prefix))) >>> 0;
      const flipped = [24, 16, 8, 0].map(shift => (other >>> shift) & 255).join('.');
      assert.equal(parseNetwork(`${address}/${prefix}`)?.contains(flipped), false);
    }),
  );
});
