/** Every metric of the operator, with what a rise means: those of its rooms, and of the whole. */
import { kubeMetrics, type MetricLabels } from './kube/metrics.ts';

export const operatorMetrics = {
  ...kubeMetrics,
  postroad_operator_resources: {
    type: 'gauge',
    help: 'MailRelays and DomainPolicies, by what their Ready condition says.',
    rise: 'NotReady: their conditions say why. Unknown: they were not looked at yet, or wait for something.',
    labels: { kind: ['MailRelay', 'DomainPolicy'], state: ['Ready', 'NotReady', 'Unknown'] },
  },
  postroad_operator_synced: {
    type: 'gauge',
    help: '1 once every cache has read what the cluster holds.',
    rise: 'Good. At 0 for minutes: a kind cannot be listed; postroad_operator_watch_failures_total says which and why.',
  },
  postroad_operator_build_info: {
    type: 'gauge',
    help: '1, with the version that runs.',
    rise: 'Two versions at once: a rollout is under way.',
    labels: { version: [] },
  },
} as const;

type Definitions = typeof operatorMetrics;
type NamesOf<T extends string> = {
  [K in keyof Definitions]: Definitions[K] extends { readonly type: T } ? K : never;
}[keyof Definitions];

export interface OperatorMetricSink {
  add(name: NamesOf<'counter'>, labels: MetricLabels, by?: number): void;
  set(name: NamesOf<'gauge'>, labels: MetricLabels, value: number): void;
  observe(name: NamesOf<'histogram'>, labels: MetricLabels, value: number): void;
}
