import type { MetricLabels, MetricSink } from '../../../operator/kube/metrics.ts';
import type { KubeObject, Resource } from '../../../operator/kube/object.ts';
import type { Log } from '../../../relay/log.ts';
import { createLog } from '../../../relay/log.ts';

export const quiet: Log = createLog('silent');

/** Keeps what it is told; a figure is asked for by its name and labels. */
export class KeptMetrics implements MetricSink {
  readonly #values = new Map<string, number>();

  add(name: string, labels: MetricLabels, by = 1): void {
    this.#values.set(key(name, labels), this.get(name, labels) + by);
  }

  set(name: string, labels: MetricLabels, value: number): void {
    this.#values.set(key(name, labels), value);
  }

  observe(name: string, labels: MetricLabels): void {
    this.add(name, labels);
  }

  get(name: string, labels: MetricLabels = {}): number {
    return this.#values.get(key(name, labels)) ?? 0;
  }
}

function key(name: string, labels: MetricLabels): string {
  return JSON.stringify([name, Object.entries(labels).sort()]);
}

export const configMaps: Resource = { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps', isNamespaced: true };

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export function configMap(
  name: string,
  resourceVersion: string,
  data: Readonly<Record<string, string>> = {},
): ConfigMap {
  const metadata = { name, namespace: 'mail', uid: `uid-${name}`, resourceVersion };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
}
