import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { conditionsOf, fails, holds, summary, unknown } from '../../operator/conditions.ts';

const nowMs = Date.UTC(2026, 0, 1, 12, 0, 0, 500);

describe('conditions', () => {
  it('keep the time of their last transition while the status stays', () => {
    const first = conditionsOf([holds('Accepted', 'Accepted', 'one')], [], { nowMs, generation: 1 });
    assert.equal(first[0]?.lastTransitionTime, '2026-01-01T12:00:00Z');
    const again = conditionsOf([holds('Accepted', 'Accepted', 'other')], first, {
      nowMs: nowMs + 60_000,
      generation: 2,
    });
    assert.equal(again[0]?.lastTransitionTime, '2026-01-01T12:00:00Z');
    assert.equal(again[0]?.message, 'other');
    assert.equal(again[0]?.observedGeneration, 2);
    const turned = conditionsOf([fails('Accepted', 'Conflicted', '')], again, { nowMs: nowMs + 60_000, generation: 2 });
    assert.equal(turned[0]?.lastTransitionTime, '2026-01-01T12:01:00Z');
  });

  it('sum up to the first that fails, else the first that is unknown', () => {
    const good = holds('Accepted', 'Accepted', '');
    const open = unknown('Programmed', 'ConfigurationPending', 'pending');
    const bad = fails('ResolvedRefs', 'SecretNotFound', 'missing');
    assert.deepEqual(summary([good, open, bad]), { ...bad, type: 'Ready' });
    assert.deepEqual(summary([good, open]), { ...open, type: 'Ready' });
    assert.equal(summary([good]).status, 'True');
  });

  it('that are optional stand in nobody’s way while unknown, and do when they fail', () => {
    const open = unknown('DNSPublished', 'RecordsNotChecked', '');
    assert.equal(summary([open], ['DNSPublished']).status, 'True');
    assert.equal(summary([{ ...open, status: 'False' }], ['DNSPublished']).status, 'False');
  });
});
