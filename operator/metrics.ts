/** The operator's metrics as Prometheus reads them. What each means is said where it is declared. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { MetricLabels } from './kube/metrics.ts';
import { type OperatorMetricSink, operatorMetrics } from './metric-definitions.ts';

interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Label names, each with the values that are there from the start; none: known only at run time, but bounded. */
  readonly labels?: Readonly<Record<string, readonly string[]>>;
  readonly buckets?: readonly number[];
}

export interface OperatorMetrics extends OperatorMetricSink {
  readonly registry: Registry;
}

export function createOperatorMetrics(): OperatorMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  for (const [name, definition] of Object.entries<Definition>(operatorMetrics)) {
    const { help, labels = {}, buckets = [] } = definition;
    const options = { name, help, labelNames: Object.keys(labels), registers: [registry] };
    if (definition.type === 'counter') counters.set(name, withZeros(new Counter(options), labels));
    else if (definition.type === 'gauge') gauges.set(name, withZeros(new Gauge(options), labels));
    else histograms.set(name, new Histogram({ ...options, buckets: [...buckets] }));
  }
  return {
    registry,
    add: (name, labels, by = 1) => counters.get(name)?.inc({ ...labels }, by),
    set: (name, labels, value) => gauges.get(name)?.set({ ...labels }, value),
    observe: (name, labels, value) => histograms.get(name)?.observe({ ...labels }, value),
  };
}

/** An alert on a rate needs the zero before the first one. */
function withZeros<T extends Counter | Gauge>(instrument: T, labels: NonNullable<Definition['labels']>): T {
  let all: MetricLabels[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    all = all.flatMap(known => values.map(value => ({ ...known, [label]: value })));
  }
  for (const combination of all) instrument.inc({ ...combination }, 0);
  return instrument;
}
