import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { admitPolicies, rivalsOf } from '../../../operator/domainpolicy/attach.ts';
import { domainPolicy, mailRelay } from '../builders.ts';

const open = mailRelay({ policies: { namespaces: { from: 'All' } } });
const namespaces = new Map([['shop', { team: 'shop' }]]);

function verdicts(relays: readonly MailRelay[], policies: readonly DomainPolicy[]): string[] {
  return admitPolicies(relays, policies, namespaces).map(
    ({ policy, verdict }) => `${policy.metadata.name} ${verdict.reason}`,
  );
}

describe('a DomainPolicy', () => {
  it('attaches to a relay that lets its namespace', () => {
    const selected = mailRelay({
      policies: { namespaces: { from: 'Selector', selector: { matchLabels: { team: 'shop' } } } },
    });
    assert.deepEqual(verdicts([open], [domainPolicy()]), ['shop Accepted']);
    assert.deepEqual(verdicts([selected], [domainPolicy()]), ['shop Accepted']);
    assert.deepEqual(
      verdicts([mailRelay()], [domainPolicy({ relayRef: { name: 'outbound' } }, { namespace: 'mail' })]),
      ['shop Accepted'],
    );
  });

  it('does not learn whether a relay that it may not use is there', () => {
    const [closed] = admitPolicies([mailRelay()], [domainPolicy()], namespaces);
    const [absent] = admitPolicies([], [domainPolicy()], namespaces);
    assert.equal(closed?.verdict.reason, 'RelayNotFound');
    assert.deepEqual(closed?.verdict, absent?.verdict);
  });

  it('loses a domain to an older one, and is told to which', () => {
    const older = domainPolicy({}, { name: 'z', creationTimestamp: '2026-01-01T00:00:00Z' });
    const younger = domainPolicy({}, { name: 'a', creationTimestamp: '2026-01-02T00:00:00Z' });
    const [lost, won] = admitPolicies([open], [younger, older], namespaces);
    assert.equal(won?.verdict.status, 'True');
    assert.equal(lost?.verdict.reason, 'Conflicted');
    assert.match(lost?.verdict.message ?? '', /shop\.example\.com belongs to shop\/z/);
  });

  it('loses to the first by namespace and name where age does not tell', () => {
    const one = domainPolicy({}, { namespace: 'a', name: 'z' });
    const other = domainPolicy({}, { namespace: 'b', name: 'a' });
    assert.deepEqual(verdicts([open], [other, one]), ['a Conflicted', 'z Accepted']);
  });

  it('that lost keeps none of its domains, so that the next in line gets them', () => {
    const first = domainPolicy({ domains: ['a.example.com'] }, { name: '1' });
    const loser = domainPolicy({ domains: ['a.example.com', 'b.example.com'] }, { name: '2' });
    const third = domainPolicy({ domains: ['b.example.com'] }, { name: '3' });
    assert.deepEqual(verdicts([open], [first, loser, third]), ['1 Accepted', '2 Conflicted', '3 Accepted']);
  });

  it('shares a domain with policies of other relays, and a pattern with the domains it covers', () => {
    const second = mailRelay({ policies: { namespaces: { from: 'All' } } }, { name: 'second' });
    const here = domainPolicy({}, { name: '1' });
    const there = domainPolicy({ relayRef: { name: 'second', namespace: 'mail' } }, { name: '2' });
    const below = domainPolicy({ domains: ['*.example.com'] }, { name: '3' });
    assert.deepEqual(verdicts([open, second], [here, there, below]), ['1 Accepted', '2 Accepted', '3 Accepted']);
  });

  it('may hang on any other through what is between them, and on none beside', () => {
    const [first, second, third, fourth, beside] = [
      ['a.example.com'],
      ['a.example.com', '*.b.example.com'],
      ['c.b.example.com', 'd.example.com'],
      ['d.example.com'],
      ['e.example.com'],
    ].map((domains, index) => domainPolicy({ domains }, { name: String(index) }));
    assert.ok(first && second && third && fourth && beside);
    const names = (policies: ReturnType<typeof rivalsOf>): string[] => policies.map(({ metadata }) => metadata.name);
    assert.deepEqual(names(rivalsOf(first, [beside, fourth, third, second])).sort(), ['1', '2', '3']);
    assert.deepEqual(names(rivalsOf(beside, [first, second, third, fourth])), []);
    const many = Array.from({ length: 2000 }, (_, index) =>
      domainPolicy({ domains: [`n${index}.example.com`] }, { name: `n${index}` }),
    );
    const pattern = domainPolicy({ domains: ['*.example.com'] }, { name: 'pattern' });
    assert.equal(rivalsOf(pattern, many).length, 2000);
    assert.equal(rivalsOf(many[0] ?? beside, [...many.slice(1), pattern]).length, 2000);
  });

  it('takes no domain out of the pattern of another namespace that was there before', () => {
    const owner = { namespace: 'shop', name: 'all', creationTimestamp: '2026-01-01T00:00:00Z' };
    const all = domainPolicy({ domains: ['*.shop.example'] }, owner);
    const later = { namespace: 'evil', creationTimestamp: '2026-01-02T00:00:00Z' };
    for (const domain of ['pay.shop.example', 'a.b.shop.example', '*.b.shop.example']) {
      const thief = domainPolicy({ domains: [domain] }, { ...later, name: 'thief' });
      assert.deepEqual(verdicts([open], [thief, all]), ['thief Conflicted', 'all Accepted'], domain);
      const [lost] = admitPolicies([open], [thief, all], namespaces);
      assert.match(lost?.verdict.message ?? '', /belongs to shop\/all/);
      assert.deepEqual([rivalsOf(thief, [all]), rivalsOf(all, [thief])], [[all], [thief]]);
      const own = domainPolicy({ domains: [domain] }, { ...later, namespace: 'shop', name: 'own' });
      assert.deepEqual(verdicts([open], [own, all]), ['own Accepted', 'all Accepted'], domain);
    }
    for (const domain of ['shop.example', '*.example.org', 'myshop.example']) {
      const other = domainPolicy({ domains: [domain] }, { ...later, name: 'other' });
      assert.deepEqual(verdicts([open], [other, all]), ['other Accepted', 'all Accepted'], domain);
      assert.deepEqual([rivalsOf(other, [all]), rivalsOf(all, [other])], [[], []], domain);
    }
    const below = domainPolicy({ domains: ['pay.shop.example'] }, { ...owner, name: 'below' });
    const pattern = domainPolicy({ domains: ['*.shop.example'] }, { ...later, name: 'pattern' });
    assert.deepEqual(verdicts([open], [pattern, below]), ['pattern Accepted', 'below Accepted']);
  });

  it('that did not attach takes no domain from one that did', () => {
    const stranger = domainPolicy({}, { namespace: 'a', name: 'a' });
    const own = domainPolicy({}, { namespace: 'mail', name: 'own' });
    assert.deepEqual(verdicts([mailRelay()], [stranger, own]), ['a RelayNotFound', 'own Accepted']);
  });

  it('gets the same verdict whatever the order, and no domain has two owners', () => {
    const domain = fc.constantFrom('a.example.com', 'b.example.com', 'c.example.com');
    const policies = fc
      .array(fc.uniqueArray(domain, { minLength: 1 }), { maxLength: 6 })
      .map(all => all.map((domains, index) => domainPolicy({ domains }, { name: `p${index}` })));
    fc.assert(
      fc.property(
        policies.chain(all => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([all, shuffled]) => {
          assert.deepEqual(verdicts([open], shuffled).sort(), verdicts([open], all).sort());
          const owned = admitPolicies([open], all, namespaces).filter(({ verdict }) => verdict.status === 'True');
          const domains = owned.flatMap(({ policy }) => policy.spec.domains);
          assert.equal(new Set(domains).size, domains.length);
        },
      ),
    );
  });
});
