import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRoutable } from '../../../operator/dns/routable.ts';

const never = [
  ...['0.0.0.0', '0.1.2.3', '127.0.0.1', '127.255.255.254', '169.254.169.254', '224.0.0.251', '255.255.255.255'],
  ...['::', '::1', '::7f00:1', '::ffff:127.0.0.1', '::ffff:a9fe:a9fe', '::ffff:0.0.0.0', '::ffff:224.0.0.1'],
  ...['fe80::1', 'febf::1', 'ff02::fb', '64:ff9b::127.0.0.1', '64:ff9b::169.254.169.254', '64:ff9b::'],
];
const asked = [
  ...['192.0.2.53', '8.8.8.8', '1.0.0.1', '128.0.0.1', '126.255.255.255', '169.253.255.255', '223.255.255.255'],
  ...['10.0.0.53', '172.16.0.53', '192.168.1.53', '100.64.0.53', 'fd00::53', '::ffff:10.0.0.53', '2001:db8::53'],
  ...['64:ff9b::192.0.2.53', 'fec0::1'],
];

for (const address of never)
  test(`${address} is no address of a domain's name server`, () => assert.equal(isRoutable(address), false));
for (const address of asked)
  test(`${address} is asked: of the Internet, or of a network of one's own`, () =>
    assert.equal(isRoutable(address), true));
