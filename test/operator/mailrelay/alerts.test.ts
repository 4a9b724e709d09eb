import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alerts } from '../../../operator/mailrelay/alerts.ts';
import { at, desiredOf, find, storedRelay } from './relay-input.ts';

test('alerts have names of their own, and look at the pods of one relay alone', () => {
  assert.equal(new Set(alerts.map(({ name }) => name)).size, alerts.length);
  for (const { name, expression } of alerts) {
    const selectors = [...expression.matchAll(/(?:postroad_[a-z_]+|\bup)(?<matchers>\{[^}]*)?/g)];
    for (const { groups } of selectors) assert.match(groups?.['matchers'] ?? '', /^\{\$pods/, name);
  }
});

test('the pods of one relay are never taken for those of another whose name begins alike', () => {
  const matcher = (spec: object): RegExp => {
    const rules = find(desiredOf(storedRelay({ ...spec }, { name: 'a' })), 'PrometheusRule');
    const expression = String(at(rules, 'spec', 'groups', 0, 'rules', 0, 'expr'));
    return new RegExp(`^(?:${/pod=~"([^"]+)"/.exec(expression)?.[1]})$`);
  };
  assert.match('a-relay-0', matcher({}));
  assert.doesNotMatch('a-relay-b-relay-0', matcher({}));
  const redis = { type: 'Redis', redis: { type: 'Single', addresses: ['redis:6379'], durability: 'Fsync' } };
  assert.match('a-relay-5d4f8c7b9-x2x7q', matcher({ queue: redis }));
  assert.doesNotMatch('a-relay-b-relay-5d4f8c7b9-x2x7q', matcher({ queue: redis }));
});

test('a parked relay raises no alarm because nobody answers', () => {
  assert.equal(find(desiredOf(storedRelay({ replicas: 0 })), 'PrometheusRule'), undefined);
});
