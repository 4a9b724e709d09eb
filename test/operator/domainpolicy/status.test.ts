import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { holds } from '../../../operator/conditions.ts';
import { type KeyStanding, standingOf } from '../../../operator/domainpolicy/dkim-status.ts';
import { checkRecord } from '../../../operator/domainpolicy/record-check.ts';
import { freshKey } from '../../../operator/domainpolicy/rotation.ts';
import {
  domainPolicyStatus,
  firstPolicyStatus,
  type PolicyObservation,
} from '../../../operator/domainpolicy/status.ts';
import { domainPolicy } from '../builders.ts';

const nowMs = Date.UTC(2026, 0, 1);
const record = {
  name: 'k._domainkey.shop.example.com',
  type: 'TXT',
  purpose: 'DKIM',
  value: 'v=DKIM1; p=AAAA',
} as const;
const seen = (texts: readonly string[]) =>
  checkRecord(record, {
    answer: {
      servers: [{ host: 'ns1', said: texts.length === 0 ? { kind: 'Nothing' } : { kind: 'Texts', texts } }],
      problem: undefined,
    },
    lookups: undefined,
    broken: [],
  });

function statusOf(changes: Partial<PolicyObservation>): ReturnType<typeof domainPolicyStatus> {
  return domainPolicyStatus({
    policy: domainPolicy(),
    admission: holds('Accepted', 'Accepted', 'attached'),
    secretProblems: [],
    keys: [{ selector: 'k', algorithm: 'RSA2048', state: 'Active', signsFor: ['shop.example.com'] }],
    records: [seen(['v=DKIM1; p=AAAA'])],
    isChecking: true,
    isLookedAt: true,
    publishProblem: undefined,
    programme: 'Applied',
    previous: undefined,
    stamp: { nowMs, generation: 1 },
    ...changes,
  });
}

function conditions(changes: Partial<PolicyObservation>): Record<string, string> {
  const { conditions: all = [] } = statusOf(changes);
  return Object.fromEntries(all.map(({ type, status, reason, message }) => [type, `${status} ${reason}: ${message}`]));
}

describe('status of a DomainPolicy', () => {
  it('is ready when its keys sign, its records are there and every pod runs it', () => {
    assert.match(conditions({})['Ready'] ?? '', /^True Ready/);
  });

  it('says which record is missing and the line to publish', () => {
    const { DNSPublished } = conditions({ records: [seen([])] });
    assert.equal(
      DNSPublished,
      'False RecordsMissing: k._domainkey.shop.example.com is missing: publish k._domainkey.shop.example.com. 3600 IN TXT "v=DKIM1; p=AAAA"',
    );
  });

  it('holds little of what others say, however many records there are', () => {
    const records = Array.from({ length: 384 }, () => seen(['x'.repeat(60_000)]));
    const { dnsRecords = [] } = domainPolicyStatus({
      ...{
        policy: domainPolicy(),
        admission: holds('Accepted', 'Accepted', ''),
        secretProblems: [],
        keys: [],
        records,
      },
      ...{ isChecking: true, isLookedAt: true, publishProblem: undefined, programme: 'Applied', previous: undefined },
      stamp: { nowMs, generation: 1 },
    });
    assert.equal(dnsRecords.length, records.length);
    assert.ok(dnsRecords[0]?.observed !== undefined);
    assert.ok(dnsRecords.reduce((sum, { observed = '' }) => sum + observed.length, 0) <= 32_768);
  });

  it('says that mail is not signed while keys wait, and for what', () => {
    const { DKIMReady } = conditions({
      keys: [{ selector: 'k', algorithm: 'Ed25519', state: 'Pending', awaitedAt: ['shop.example.com'] }],
    });
    assert.equal(
      DKIMReady,
      'False KeysPending: mail is not signed: the record of k (Ed25519) at shop.example.com is awaited',
    );
  });

  it('says from when on a key signs whose record nobody looks for', () => {
    const policy = domainPolicy({
      dns: { checks: 'Disabled' },
      dkim: { type: 'Managed', managed: { overlapDays: 3 } },
    });
    const askedMs = Date.UTC(2026, 0, 1, 12, 0, 1);
    const fresh = { selector: 'k', algorithm: 'Ed25519', privateKeyPem: '', recordValue: '' } as const;
    const key = freshKey(fresh, { domains: ['shop.example.com'], request: undefined, nowMs: askedMs });
    assert.equal(
      conditions({ policy, keys: [standingOf(key, policy)], isChecking: false })['DKIMReady'],
      'False KeysPending: mail is not signed: k (Ed25519) waits until 2026-01-04T12:01Z and then signs for shop.example.com, since nobody looks for its record (spec.dns.checks is Disabled)',
    );
  });

  it('says of which domains mail is not signed, while that of the others is', () => {
    const policy = domainPolicy();
    const domains = ['a.example', '*.b.example', 'b.example', 'c.example'];
    const key = (selector: string, changes: Partial<KeyStanding>): KeyStanding => ({
      ...{ selector, algorithm: 'Ed25519', state: 'Active', signsFor: ['a.example'] },
      ...changes,
    });
    const verdict = (...keys: readonly KeyStanding[]): string | undefined =>
      conditions({ policy: { ...policy, spec: { ...policy.spec, domains } }, keys })['DKIMReady'];
    assert.equal(
      verdict(key('k', { awaitedAt: ['b.example', 'c.example'] })),
      'False KeysPending: mail of b.example and c.example is not signed: the record of k (Ed25519) at b.example and c.example is awaited',
    );
    assert.equal(
      verdict(key('k', { awaitedAt: ['b.example'], seenAt: ['c.example'] })),
      'False KeysPending: mail of b.example and c.example is not signed: the record of k (Ed25519) at b.example is awaited; k (Ed25519) is about to sign: its record is there, and the pods load it',
    );
    const old = key('old', { signsFor: ['b.example', 'c.example'], seenAt: ['a.example'] });
    assert.equal(
      verdict(old, key('new', { awaitedAt: ['b.example', 'c.example'] })),
      'True KeysActive: mail is signed with old (Ed25519) and new (Ed25519); the record of new (Ed25519) at b.example and c.example is awaited',
    );
  });

  it('names the server that keeps a key waiting', () => {
    const silent = { host: 'ns2.example.net', said: { kind: 'Silent', why: 'SERVFAIL' } } as const;
    const good = { host: 'ns1.example.net', said: { kind: 'Texts', texts: [record.value] } } as const;
    const answer = { servers: [good, silent], problem: undefined };
    const { DKIMReady, DNSPublished } = conditions({
      keys: [{ selector: 'k', algorithm: 'Ed25519', state: 'Pending', awaitedAt: ['shop.example.com'] }],
      records: [checkRecord(record, { answer, lookups: undefined, broken: [] })],
    });
    const fault = 'k._domainkey.shop.example.com: ns2.example.net gives no answer (SERVFAIL)';
    assert.equal(
      DKIMReady,
      `False KeysPending: mail is not signed: the record of k (Ed25519) at shop.example.com is awaited (${fault})`,
    );
    assert.equal(DNSPublished, `Unknown RecordsUnknown: ${fault}`);
  });

  for (const state of ['Pending', 'Published', 'Retiring'] as const)
    it(`stays ready while mail is signed and the record of a key that is ${state} is missing, which DNSPublished tells`, () => {
      const { Ready, DNSPublished, DKIMReady } = conditions({
        keys: [
          { selector: 'k', algorithm: 'RSA2048', state },
          { selector: 'other', algorithm: 'RSA2048', state: 'Active', signsFor: ['shop.example.com'] },
        ],
        records: [seen([])],
      });
      assert.match(Ready ?? '', /^True Ready/);
      assert.match(DKIMReady ?? '', /^True KeysActive/);
      assert.match(DNSPublished ?? '', /^False RecordsMissing: k\._domainkey/);
    });

  it('is not ready while a key waits that no other of its algorithm stands in for', () => {
    const { Ready } = conditions({
      keys: [
        { selector: 'k', algorithm: 'RSA2048', state: 'Pending' },
        { selector: 'other', algorithm: 'Ed25519', state: 'Active', signsFor: ['shop.example.com'] },
      ],
      records: [seen([])],
    });
    assert.match(Ready ?? '', /^False RecordsMissing/);
  });

  it('keeps the verdict on the pods while nobody has looked, and names no revision', () => {
    const running = domainPolicyStatus({
      ...{
        policy: domainPolicy(),
        admission: holds('Accepted', 'Accepted', ''),
        secretProblems: [],
        keys: [],
        records: [],
      },
      ...{ isChecking: true, isLookedAt: true, publishProblem: undefined, programme: 'Applied', previous: undefined },
      stamp: { nowMs, generation: 1 },
    });
    assert.match(
      conditions({ programme: 'AsBefore', previous: running })['Programmed'] ?? '',
      /^True ConfigurationApplied/,
    );
    assert.match(conditions({ programme: 'AsBefore' })['Programmed'] ?? '', /^Unknown ConfigurationPending/);
    assert.match(conditions({ programme: 'Pending', previous: running })['Programmed'] ?? '', /^Unknown/);
  });

  it('keeps what was last said of records until it has looked itself, so that a restart writes nothing', () => {
    const previous = statusOf({ records: [seen([])] });
    const unseen = { records: [checkRecord(record, undefined)], isLookedAt: false, previous };
    assert.deepEqual(statusOf(unseen), previous);
    assert.match(conditions({ ...unseen, isLookedAt: true })['DNSPublished'] ?? '', /^Unknown RecordsUnknown/);
    const other = [checkRecord({ ...record, name: 'l._domainkey.shop.example.com' }, undefined)];
    assert.match(conditions({ ...unseen, records: other })['DNSPublished'] ?? '', /^Unknown/, 'of other records');
    const changed = { ...unseen, stamp: { nowMs, generation: 2 } };
    assert.match(conditions(changed)['DNSPublished'] ?? '', /^Unknown/, 'of another spec');
  });

  it('has every condition from the first moment', () => {
    const types = (firstPolicyStatus({ nowMs, generation: 1 }).conditions ?? []).map(
      ({ type, status }) => `${type} ${status}`,
    );
    assert.deepEqual(
      types,
      Object.keys(conditions({})).map(type => `${type} Unknown`),
    );
  });
});
