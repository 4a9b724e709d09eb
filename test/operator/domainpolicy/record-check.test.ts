import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Said } from '../../../operator/dns/txt.ts';
import type { DnsRecord } from '../../../operator/domainpolicy/dns-record.ts';
import { checkRecord, type RecordSight } from '../../../operator/domainpolicy/record-check.ts';

const key: DnsRecord = {
  name: 'k._domainkey.a.example',
  type: 'TXT',
  purpose: 'DKIM',
  value: 'v=DKIM1; k=rsa; p=AAAA',
};
const spf: DnsRecord = { name: 'a.example', type: 'TXT', purpose: 'SPF', value: 'v=spf1 a:mail.example ~all' };
const dmarc: DnsRecord = {
  ...{ name: '_dmarc.a.example', type: 'TXT', purpose: 'DMARC' },
  value: 'v=DMARC1; p=quarantine; rua=mailto:d@a.example',
};

type Answer = readonly string[] | 'silent';

function sight(answers: readonly Answer[], counted: Partial<RecordSight> = {}): RecordSight {
  const said = (answer: Answer): Said => {
    if (answer === 'silent') return { kind: 'Silent', why: 'no answer in time' };
    return answer.length === 0 ? { kind: 'Nothing' } : { kind: 'Texts', texts: answer };
  };
  const servers = answers.map((answer, index) => ({ host: `ns${index + 1}`, said: said(answer) }));
  return { answer: { servers, problem: undefined }, lookups: undefined, broken: [], ...counted };
}

function state(record: DnsRecord, ...answers: readonly Answer[]): string {
  return checkRecord(record, sight(answers)).state;
}

describe('a DKIM record', () => {
  it('is compared by what it means', () => {
    const same = ['k=rsa; v=DKIM1;p=AA AA;', 'p=AAAA', 'v=DKIM1; p=AAAA; t=s; n=note; s=email:x; h=sha1:sha256'];
    for (const text of same) assert.equal(state(key, [text]), 'Published', text);
    const other = [
      'v=DKIM1; k=rsa; p=AAAB',
      'v=DKIM1; k=rsa; p=',
      'v=DKIM1; k=ed25519; p=AAAA',
      'p=AAAA; h=sha1',
      'p=AAAA; s=tlsrpt',
      'hello',
    ];
    for (const text of other) assert.equal(state(key, [text]), 'Mismatch', text);
    assert.equal(state(key, ['p=AAAA', 'p=AAAA; t=y']), 'Mismatch', 'two records');
  });

  it('is there when every server has it; the worst of them is told, with its name', () => {
    assert.equal(state(key, ['p=AAAA'], ['p=AAAA']), 'Published');
    assert.equal(state(key, ['p=AAAA'], 'silent'), 'Unknown');
    assert.equal(state(key, [], 'silent'), 'Missing');
    const lagging = checkRecord(key, sight([['p=AAAA'], []]));
    assert.equal(lagging.state, 'Missing');
    assert.equal(lagging.fault, 'k._domainkey.a.example is missing (says ns2, not every server)');
    assert.equal(checkRecord(key, undefined).state, 'Unknown');
  });
});

describe('an SPF record', () => {
  it('that lacks us is a mismatch, with what is there and what it should be', () => {
    const found = checkRecord(spf, sight([['google=1', 'v=spf1 mx -all']]));
    assert.deepEqual(
      [found.state, found.observed, found.value, found.fault],
      ['Mismatch', 'v=spf1 mx -all', 'v=spf1 mx a:mail.example -all', 'a.example lacks a:mail.example'],
    );
  });

  it('may be there once only, and two become one', () => {
    const found = checkRecord(spf, sight([['v=spf1 mx -all', 'v=spf1 ip4:192.0.2.1 ~all']]));
    assert.equal(found.state, 'Mismatch');
    assert.equal(found.value, 'v=spf1 mx ip4:192.0.2.1 a:mail.example -all');
    assert.equal(found.fault, 'a.example has 2 SPF records and must have one');
  });

  it('that costs too many look-ups is told of though it is there', () => {
    const found = checkRecord(spf, sight([['v=spf1 a:mail.example -all']], { lookups: 11 }));
    assert.equal(found.state, 'Published');
    assert.match(found.fault ?? '', /more than 10 look-ups/);
    assert.equal(checkRecord(spf, sight([['v=spf1 a:mail.example -all']], { lookups: 10 })).fault, undefined);
  });
});

describe('a DMARC record', () => {
  it('may say more than ours, and nothing else', () => {
    assert.equal(
      state(dmarc, ['v=DMARC1; p=Quarantine; sp=none; rua=mailto:x@b.example,mailto:D@a.example!10m']),
      'Published',
    );
    const found = checkRecord(dmarc, sight([['v=DMARC1; p=reject; rua=mailto:d@a.example']]));
    assert.deepEqual([found.state, found.observed], ['Mismatch', 'v=DMARC1; p=reject; rua=mailto:d@a.example']);
    assert.equal(state(dmarc, ['v=DMARC1; p=quarantine']), 'Mismatch', 'reports go nowhere');
    assert.equal(state(dmarc, ['something']), 'Missing');
  });
});

describe('records about mail to a domain', () => {
  const reports: DnsRecord = {
    ...{ name: '_smtp._tls.a.example', type: 'TXT', purpose: 'TLSRPT' },
    value: 'v=TLSRPTv1; rua=mailto:t@a.example',
  };
  const sts: DnsRecord = {
    ...{ name: '_mta-sts.a.example', type: 'TXT', purpose: 'MTASTS' },
    value: 'v=STSv1; id=1;',
  };

  it('that asks for reports on TLS may ask for others, too', () => {
    const asking = 'v=TLSRPTv1;rua=https://a.example/tls,mailto:T@a.example';
    assert.equal(state(reports, [asking]), 'Published');
    assert.equal(state(reports, ['v=TLSRPTv1; rua=mailto:other@a.example']), 'Mismatch');
    assert.equal(state(reports, [asking, reports.value]), 'Mismatch', 'of two none counts');
    assert.equal(state(reports, ['google-site-verification=1']), 'Missing');
    assert.equal(state(reports, []), 'Missing');
  });

  it('of MTA-STS is the one with the id that is asked for', () => {
    assert.equal(state(sts, ['v=STSv1; id=1']), 'Published');
    assert.equal(state(sts, ['v=STSv1; id=2;']), 'Mismatch');
    assert.equal(state(sts, ['v=STSv1; id=1;', 'v=STSv1; id=2;']), 'Mismatch');
    assert.equal(state(sts, ['v=spf1 ~all']), 'Missing');
  });
});

describe('what a hostile server says', () => {
  it('is never more than the status may hold: a record that no receiver reads is told, and not added to', () => {
    const long = `v=spf1 ${'ip4:192.0.2.1 '.repeat(4000)}-all`;
    for (const answer of [
      [long],
      [long, 'v=spf1 -all'],
      Array.from({ length: 500 }, (_, index) => `v=spf1 a:${index}.example -all`),
    ]) {
      const checked = checkRecord(spf, sight([answer]));
      assert.equal(checked.state, 'Mismatch');
      assert.ok(checked.value.length <= 8192 && (checked.observed ?? '').length <= 2048);
    }
    const longest = checkRecord(spf, sight([[`v=spf1 ${'ip4:192.0.2.1 '.repeat(145)}-all`]]));
    assert.match(longest.value, / a:mail\.example -all$/);
  });
});
