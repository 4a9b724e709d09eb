/** examples/keda is for kinds that are not ours; what it says of ours must be so. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { mailRelayKind } from '../../crds/mail-relay.ts';
import { podMatchers } from '../../operator/mailrelay/desired/prometheus-rule.ts';
import { definitions } from '../../relay/metrics.ts';
import { storedRelay } from './mailrelay/relay-input.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): unknown => parse(readFileSync(join(root, 'examples', path), 'utf8'));

interface ScaledObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly scaleTargetRef: { readonly apiVersion: string; readonly kind: string; readonly name: string };
    readonly minReplicaCount: number;
    readonly maxReplicaCount: number;
    readonly triggers: readonly {
      readonly type: string;
      readonly metricType: string;
      readonly metadata: Readonly<Record<string, unknown>>;
    }[];
  };
}

const scaled = read('keda/scaled-object.yaml') as ScaledObject;
const queue = {
  type: 'Redis',
  redis: { type: 'Single', addresses: ['redis.data:6379'], durability: 'Fsync' },
} as const;

test('the ScaledObject scales the relay of the other examples, which has what it takes for that', () => {
  const { metadata, kind, apiVersion } = read('quickstart/relay.yaml') as ScaledObject;
  assert.deepEqual(scaled.spec.scaleTargetRef, { apiVersion, kind, name: metadata.name });
  assert.equal(scaled.metadata.namespace, metadata.namespace);
  assert.equal(mailRelayKind.kind, kind);
  const crd = readFileSync(join(root, 'crds/mailrelays.postroad.dev.yaml'), 'utf8');
  assert.match(crd, /scale:\n\s+specReplicasPath: \.spec\.replicas\n/);
  assert.match(crd, /labelSelectorPath: \.status\.selector\n/);
  const { minReplicaCount, maxReplicaCount } = scaled.spec;
  assert.ok(minReplicaCount >= 1 && minReplicaCount < maxReplicaCount && maxReplicaCount <= 64);
});

test('it asks for a metric that there is, of the pods that alerts are about', () => {
  const [age, cpu] = scaled.spec.triggers;
  assert.ok(age && cpu);
  assert.deepEqual([age.type, cpu.type], ['prometheus', 'cpu']);
  const { name, namespace } = scaled.metadata;
  const relay = storedRelay({ queue });
  const pods = podMatchers({ ...relay, metadata: { ...relay.metadata, name, namespace } });
  assert.equal(age.metadata['query'], `max(postroad_queue_oldest_due_age_seconds{${pods}})`);
  assert.ok('postroad_queue_oldest_due_age_seconds' in definitions);
  // KEDA takes no numbers there.
  for (const { metadata } of scaled.spec.triggers)
    for (const value of Object.values(metadata)) assert.equal(typeof value, 'string');
});
