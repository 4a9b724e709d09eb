import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setResourceCounts } from '../../operator/scrape.ts';
import { domainPolicy, mailRelay } from './builders.ts';
import { KeptMetrics } from './kube/fakes.ts';

function relayThatIs(status: string | undefined, observedGeneration = 2): ReturnType<typeof mailRelay> {
  const relay = { ...mailRelay(), metadata: { ...mailRelay().metadata, generation: 2 } };
  if (status === undefined) return relay;
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  const conditions = [{ type: 'Ready', status, observedGeneration, reason: 'Ready', message: '', lastTransitionTime }];
  return { ...relay, status: { conditions } } as ReturnType<typeof mailRelay>;
}

test('objects are counted by their Ready condition; one about an older spec says nothing', () => {
  const metrics = new KeptMetrics();
  const relays = [relayThatIs('True'), relayThatIs('True', 1), relayThatIs('False'), relayThatIs(undefined)];
  setResourceCounts(metrics, { relays: () => relays, policies: () => [domainPolicy()] });
  const count = (kind: string, state: string): number => metrics.get('postroad_operator_resources', { kind, state });
  assert.deepEqual(
    ['Ready', 'NotReady', 'Unknown'].map(state => count('MailRelay', state)),
    [1, 1, 2],
  );
  assert.deepEqual(
    ['Ready', 'NotReady', 'Unknown'].map(state => count('DomainPolicy', state)),
    [0, 0, 1],
  );
});
