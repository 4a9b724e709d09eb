import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { countLookups, lookupsOf, mergeSpf, spfRecordsOf, termsOf } from '../../../operator/domainpolicy/spf.ts';

const own = ['a:mail.example.com', 'include:_spf.example.net'];

describe('an SPF record', () => {
  it('of the owner gets our terms before its end, and keeps its own in their order', () => {
    const cases: readonly (readonly [string | undefined, string])[] = [
      [undefined, 'v=spf1 a:mail.example.com include:_spf.example.net ~all'],
      ['v=spf1 -all', 'v=spf1 a:mail.example.com include:_spf.example.net -all'],
      ['v=spf1 mx ip4:192.0.2.1 ?all', 'v=spf1 mx ip4:192.0.2.1 a:mail.example.com include:_spf.example.net ?all'],
      [
        'v=spf1 redirect=_spf.example.org',
        'v=spf1 a:mail.example.com include:_spf.example.net redirect=_spf.example.org',
      ],
      ['v=spf1 mx', 'v=spf1 mx a:mail.example.com include:_spf.example.net'],
      ['v=spf1 a:mail.example.com -all', 'v=spf1 a:mail.example.com include:_spf.example.net -all'],
    ];
    for (const [existing, value] of cases) assert.deepEqual(mergeSpf(existing, own), { value, isThere: false });
  });

  it('that says all of it already stays as it is written', () => {
    const existing = 'V=SPF1  +A:mail.example.com include:_SPF.example.net mx -all';
    assert.deepEqual(mergeSpf(existing, own), { value: existing, isThere: true });
    assert.equal(
      mergeSpf('v=spf1 -all a:mail.example.com include:_spf.example.net', own).isThere,
      false,
      'after the end',
    );
    assert.equal(mergeSpf('v=spf1 -a:mail.example.com include:_spf.example.net -all', own).isThere, false, 'a fail');
  });

  it('is told from other texts of its name', () => {
    assert.deepEqual(spfRecordsOf(['v=spf1', 'v=spf10 a', 'v=spf1 a -all', 'google=1']), ['v=spf1', 'v=spf1 a -all']);
  });

  it('merged twice is merged once, whatever was there', () => {
    const term = fc.constantFrom('a', 'mx', 'ip4:192.0.2.1', 'include:x.example', '-all', '~all', 'redirect=y.example');
    fc.assert(
      fc.property(fc.array(term, { maxLength: 8 }), terms => {
        const once = mergeSpf(['v=spf1', ...terms].join(' '), own).value;
        assert.deepEqual(mergeSpf(once, own), { value: once, isThere: true });
        assert.deepEqual(
          termsOf(once).filter(one => !own.includes(one)),
          terms,
        );
      }),
    );
  });

  it('costs a look-up for each of six terms (RFC 7208 s4.6.4)', () => {
    assert.equal(lookupsOf('v=spf1 a mx/24 ptr exists:%{i}.x.example include:y.example ip4:192.0.2.1 -all').length, 5);
    assert.equal(lookupsOf('v=spf1 redirect=z.example').length, 1);
    assert.equal(lookupsOf('v=spf1 redirect=z.example -all').length, 0);
  });

  it('is counted through its includes, and no further than is allowed', async () => {
    const asked: string[] = [];
    const chain = async (name: string): Promise<string[]> => {
      asked.push(name);
      return [`v=spf1 include:x${name} a -all`];
    };
    assert.deepEqual(await countLookups('v=spf1 include:a.example -all', chain), { lookups: 11, broken: [] });
    assert.ok(asked.length <= 11);
    const none = await countLookups('v=spf1 a include:gone.example include:quiet.example -all', async name =>
      name === 'gone.example' ? [] : undefined,
    );
    assert.deepEqual(none, { lookups: 3, broken: ['gone.example'] });
  });
});
