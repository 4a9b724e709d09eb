import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  characterStrings,
  desiredRecords,
  type RecordInput,
  zoneLine,
} from '../../../operator/domainpolicy/dns-record.ts';
import { domainPolicy } from '../builders.ts';

const keys = [
  { selector: 'r', recordValue: 'v=DKIM1; k=rsa; p=AAAA' },
  { selector: 'e', recordValue: 'v=DKIM1; k=ed25519; p=BBBB' },
];

function lines(spec: Readonly<Record<string, unknown>>, changes: Partial<RecordInput> = {}): string[] {
  const policy = domainPolicy(spec);
  const input = { policy, keys, hostname: 'mail.example.com', route: { type: 'Direct' } as const, ...changes };
  return desiredRecords(input).map(({ name, value }) => `${name} ${value}`);
}

describe('the DNS records of a policy', () => {
  it('are its keys, SPF and DMARC for each domain', () => {
    assert.deepEqual(lines({ domains: ['a.example.com', 'b.example.com'] }, { keys: keys.slice(0, 1) }), [
      'r._domainkey.a.example.com v=DKIM1; k=rsa; p=AAAA',
      'a.example.com v=spf1 a:mail.example.com ~all',
      '_dmarc.a.example.com v=DMARC1; p=none',
      'r._domainkey.b.example.com v=DKIM1; k=rsa; p=AAAA',
      'b.example.com v=spf1 a:mail.example.com ~all',
      '_dmarc.b.example.com v=DMARC1; p=none',
    ]);
  });

  it('of a pattern stand where a resolver can find them', () => {
    assert.deepEqual(lines({ domains: ['*.example.com', 'example.com'] }, { keys: keys.slice(0, 1) }), [
      'r._domainkey.example.com v=DKIM1; k=rsa; p=AAAA',
      '*.example.com v=spf1 a:mail.example.com ~all',
      '_dmarc.example.com v=DMARC1; p=none',
      'example.com v=spf1 a:mail.example.com ~all',
    ]);
  });

  it('say in SPF who else sends, and leave the relay out where a smart host sends', () => {
    const dns = {
      spf: { include: ['_spf.example.net'], addresses: ['192.0.2.1/32', '198.51.100.0/24', '2001:db8::1/128'] },
    };
    const tail = 'ip4:192.0.2.1 ip4:198.51.100.0/24 ip6:2001:db8::1 include:_spf.example.net ~all';
    assert.equal(lines({ dns })[2], `shop.example.com v=spf1 a:mail.example.com ${tail}`);
    const smartHost = { type: 'SmartHost', smartHost: { host: 'smtp.example.net', port: 587 } } as const;
    assert.equal(lines({ dns }, { route: smartHost })[2], `shop.example.com v=spf1 ${tail}`);
    assert.equal(lines({ dns, route: smartHost })[2], `shop.example.com v=spf1 ${tail}`);
    assert.match(lines({ route: { type: 'Direct' } }, { route: smartHost })[2] ?? '', /a:mail\.example\.com/);
  });

  it('carry the DMARC policy and where reports go', () => {
    const dns = { dmarc: { policy: 'Quarantine', reportTo: 'dmarc@example.com' } };
    assert.equal(lines({ dns })[3], '_dmarc.shop.example.com v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com');
  });

  it('ask for reports on TLS and for MTA-STS where that is asked for, of domains alone that are no pattern', () => {
    const dns = { tlsReports: { reportTo: 'tls@example.com' }, mtaSts: { id: '20260101' } };
    assert.deepEqual(lines({ dns }).slice(-2), [
      '_smtp._tls.shop.example.com v=TLSRPTv1; rua=mailto:tls@example.com',
      '_mta-sts.shop.example.com v=STSv1; id=20260101;',
    ]);
    assert.ok(lines({ dns, domains: ['*.example.com'] }).every(line => !/_tls|_mta-sts/.test(line)));
  });
});

describe('a TXT record in a zone file', () => {
  it('is cut into strings of at most 255 octets that join to the value', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 2000 }).filter(text => text.length > 0),
        value => {
          const parts = characterStrings(value);
          assert.equal(parts.join(''), value);
          assert.ok(parts.every(part => part.length >= 1 && part.length <= 255));
        },
      ),
    );
    assert.deepEqual(
      characterStrings('a'.repeat(256)).map(part => part.length),
      [255, 1],
    );
  });

  it('escapes quotes and backslashes (RFC 1035 s5.1)', () => {
    assert.equal(
      zoneLine({ name: 'example.com', type: 'TXT', purpose: 'SPF', value: 'a"b\\c' }),
      'example.com. 3600 IN TXT "a\\"b\\\\c"',
    );
  });
});
