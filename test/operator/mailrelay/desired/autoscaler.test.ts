import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { noExisting } from '../../../../operator/mailrelay/desired/input.ts';
import { definitions } from '../../../../relay/metrics.ts';
import { at, desiredOf, find, storedRelay } from '../relay-input.ts';

interface Metric {
  readonly type: string;
  readonly pods?: { readonly metric: { readonly name: string }; readonly target: object };
}

const queue = { type: 'Redis', redis: { type: 'Single', addresses: ['redis.data:6379'], durability: 'Fsync' } };
const example = join(import.meta.dirname, '../../../../examples/prometheus-adapter/values.yaml');
const existing = { ...noExisting, workload: { replicas: 2, claimSize: undefined, fileShards: 1 } };

function scalerOf(autoscaling: Readonly<Record<string, unknown>>): {
  readonly metrics: readonly Metric[];
  readonly behavior: unknown;
} {
  const relay = storedRelay({ queue, autoscaling: { minReplicas: 2, maxReplicas: 8, ...autoscaling } });
  const scaler = find(desiredOf(relay, { existing }), 'HorizontalPodAutoscaler');
  return { metrics: at(scaler, 'spec', 'metrics') as readonly Metric[], behavior: at(scaler, 'spec', 'behavior') };
}

describe('the autoscaler', () => {
  it('goes by the CPU alone, at the pace of Kubernetes, unless an age is aimed at', () => {
    const { metrics, behavior } = scalerOf({});
    assert.deepEqual(
      metrics.map(({ type }) => type),
      ['Resource'],
    );
    assert.equal(behavior, undefined);
  });

  it('goes by the age of the queue, too, that each pod tells by a metric that there is', () => {
    const { metrics } = scalerOf({ targetQueueAgeSeconds: 90 });
    assert.deepEqual(
      metrics.map(({ type }) => type),
      ['Resource', 'Pods'],
    );
    const { name = '' } = metrics[1]?.pods?.metric ?? {};
    assert.equal(definitions[name as keyof typeof definitions].type, 'gauge');
    assert.match(name, /_age_seconds$/);
    assert.deepEqual(metrics[1]?.pods?.target, { type: 'AverageValue', averageValue: '90' });
    const { rules } = parse(readFileSync(example, 'utf8')) as {
      readonly rules: { readonly custom: readonly object[] };
    };
    assert.deepEqual(
      rules.custom.map(rule => 'seriesQuery' in rule && String(rule.seriesQuery).split('{')[0]),
      [name],
      'and the example serves it by that name',
    );
  });

  it('adds no more than as many pods again in a minute by that age, and takes none away sooner than Kubernetes does', () => {
    assert.deepEqual(scalerOf({ targetQueueAgeSeconds: 90 }).behavior, {
      scaleUp: { policies: [{ type: 'Percent', value: 100, periodSeconds: 60 }] },
    });
  });
});
