import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseProxyHeader } from '../../../relay/accept/proxy.ts';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

function v2(command: number, family: number, block: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(block.length);
  return Buffer.concat([signature, Buffer.of(0x20 | command, family), length, block]);
}

const ipv4Block = Buffer.from([192, 0, 2, 1, 192, 0, 2, 2, 0x10, 0x00, 0x00, 0x19]);
const ipv6Block = Buffer.from(
  '20010db8000000000000000000000001200100000000000000000000000000021000 0019'.replace(' ', ''),
  'hex',
);
const tlv = Buffer.from([0x04, 0x00, 0x03, 1, 2, 3]);

const headers: readonly (readonly [
  name: string,
  bytes: Buffer,
  expected: string | { address: string; port: number } | undefined,
])[] = [
  ['v1 TCP4', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 4096 25\r\n'), { address: '192.0.2.1', port: 4096 }],
  ['v1 TCP6', Buffer.from('PROXY TCP6 2001:db8::1 ::1 4096 25\r\n'), { address: '2001:db8::1', port: 4096 }],
  ['v1 UNKNOWN', Buffer.from('PROXY UNKNOWN what ever\r\n'), undefined],
  ['v1 with a wrong family', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n'), 'Invalid'],
  ['v1 with a host name', Buffer.from('PROXY TCP4 mail.example.com 192.0.2.2 1 2\r\n'), 'Invalid'],
  ['v1 with a port too high', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n'), 'Invalid'],
  ['v1 with too few words', Buffer.from('PROXY TCP4 192.0.2.1\r\n'), 'Invalid'],
  ['v1 in lower case', Buffer.from('proxy tcp4 192.0.2.1 192.0.2.2 1 2\r\n'), 'Invalid'],
  ['v1 that does not end', Buffer.from(`PROXY TCP4 ${'1'.repeat(100)}`), 'Invalid'],
  ['v1 with a bare LF', Buffer.from(`PROXY UNKNOWN\n${'x'.repeat(100)}`), 'Invalid'],
  ['SMTP instead', Buffer.from('EHLO x\r\n'), 'Invalid'],
  ['v2 over IPv4', v2(1, 0x11, ipv4Block), { address: '192.0.2.1', port: 4096 }],
  ['v2 over IPv6', v2(1, 0x21, ipv6Block), { address: '2001:db8:0:0:0:0:0:1', port: 4096 }],
  ['v2 with TLVs', v2(1, 0x11, Buffer.concat([ipv4Block, tlv])), { address: '192.0.2.1', port: 4096 }],
  ['v2 LOCAL', v2(0, 0, Buffer.alloc(0)), undefined],
  ['v2 UNSPEC', v2(1, 0, tlv), undefined],
  ['v2 over UDP', v2(1, 0x12, ipv4Block), 'Invalid'],
  ['v2 with a block too short', v2(1, 0x11, ipv4Block.subarray(1)), 'Invalid'],
  ['v2 with an unknown command', v2(2, 0x11, ipv4Block), 'Invalid'],
  ['v2 that claims 64 KiB', v2(1, 0x11, Buffer.alloc(65_535)), 'Invalid'],
  ['version 3', Buffer.concat([signature, Buffer.of(0x31, 0x11, 0, 12), ipv4Block]), 'Invalid'],
];

test('PROXY headers are read, or refused', async t => {
  for (const [name, bytes, expected] of headers) {
    await t.test(name, () => {
      const parsed = parseProxyHeader(bytes);
      assert.deepEqual(typeof parsed === 'string' ? parsed : parsed.source, expected);
      if (typeof parsed === 'string') return;
      assert.equal(parsed.length, bytes.length);
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(parseProxyHeader(bytes.subarray(0, length)), 'Incomplete', `${length} bytes`);
      }
      const more = parseProxyHeader(Buffer.concat([bytes, Buffer.from('EHLO x\r\n')]));
      assert.deepEqual(more, parsed);
    });
  }
});

test('no bytes make the reader keep more than it may, or throw', () => {
  const start = fc.constantFrom(
    Buffer.alloc(0),
    signature,
    Buffer.from('PROXY '),
    Buffer.concat([signature, Buffer.of(0x21, 0x11)]),
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (prefix, rest) => {
      const parsed = parseProxyHeader(Buffer.concat([prefix, rest]));
      if (typeof parsed === 'object') assert.ok(parsed.length <= prefix.length + rest.length);
    }),
  );
  assert.equal(parseProxyHeader(Buffer.concat([v2(1, 0x11, Buffer.alloc(4096)).subarray(0, -1)])), 'Incomplete');
  assert.notEqual(parseProxyHeader(v2(1, 0x11, Buffer.alloc(4096))), 'Incomplete');
});

test('the client that a proxy names is the one that is identified and logged', async t => {
  await using accept = await startAccept({
    listeners: [
      { name: 'proxied', proxyProtocolFrom: ['127.0.0.0/8'] },
      { name: 'direct' },
      { name: 'secure', protocol: 'SMTPS', proxyProtocolFrom: ['127.0.0.1'] },
    ],
    trustedNetworks: ['192.0.2.0/24', '2001:db8::/32'],
  });
  for (const [name, bytes, literal] of [
    ['v1', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 4096 25\r\n'), '[192.0.2.1]'],
    ['v2', v2(1, 0x21, ipv6Block), '[IPv6:2001:db8:0:0:0:0:0:1]'],
  ] as const) {
    for (const cut of [0, 1, 13, bytes.length - 1]) {
      await t.test(`${name}, cut before octet ${cut}`, async () => {
        using client = await Dialogue.connect(accept.port('proxied'));
        client.send(bytes.subarray(0, cut));
        await new Promise(resolve => setImmediate(resolve));
        client.send(bytes.subarray(cut));
        assert.match(await client.reply(), /^220 /);
        await client.say('EHLO client.test');
        await client.begin();
        client.send(`${header}\r\n.\r\n`);
        assert.match(await client.reply(), /^250 /);
        assert.ok(accept.messages.at(-1)?.head.toString().includes(`from client.test (${literal})`));
      });
    }
  }
  await t.test('who is named outside the trusted networks has no identity', async () => {
    using client = await Dialogue.connect(accept.port('proxied'));
    client.send('PROXY TCP4 198.51.100.1 192.0.2.2 4096 25\r\n');
    await client.reply();
    await client.say('EHLO client.test');
    assert.match(await client.say('MAIL FROM:<a@example.com>'), /^550 5\.7\.1 /);
  });
  await t.test('before TLS', async () => {
    using client = await Dialogue.connect(accept.port('secure'));
    client.send('PROXY TCP4 192.0.2.1 192.0.2.2 4096 25\r\n');
    await client.beginTls();
    assert.match(await client.reply(), /^220 /);
    await client.say('EHLO x');
    assert.match(await client.say('MAIL FROM:<a@example.com>'), /^250 /);
  });
  await t.test('a proxy without its header is dropped without a word', async () => {
    using client = await Dialogue.connect(accept.port('proxied'));
    client.send('EHLO client.test\r\n');
    assert.equal(await client.untilClosed(), '');
  });
  await t.test('a header from anybody else is no command', async () => {
    using client = await Dialogue.connect(accept.port('direct'));
    await client.reply();
    assert.match(await client.say('PROXY TCP4 192.0.2.1 192.0.2.2 4096 25'), /^500 5\.5\.1 /);
    await client.say('EHLO x');
    assert.match(await client.say('MAIL FROM:<a@example.com>'), /^550 5\.7\.1 /);
  });
});
