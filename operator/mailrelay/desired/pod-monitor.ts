/** How a Prometheus of the Prometheus operator finds the pods. */
import { selectorLabels } from '../../labels.ts';
import type { DesiredOptions, RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

export function podMonitor({ relay, kinds }: RelayInput, { monitoringLabels }: DesiredOptions): DesiredObject | null {
  if (relay.spec.monitoring.podMonitor === 'Disabled' || !kinds.podMonitor) return null;
  const metadata = ownedMetadata(relay, namesOf(relay).relay);
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PodMonitor',
    metadata: { ...metadata, labels: { ...monitoringLabels, ...metadata.labels } },
    spec: {
      selector: { matchLabels: selectorLabels(relay) },
      podMetricsEndpoints: [{ port: 'http', path: '/metrics', interval: '30s', scrapeTimeout: '10s' }],
    },
  };
}
