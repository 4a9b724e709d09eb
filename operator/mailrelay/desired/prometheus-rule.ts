/** The alerts of one relay, for the Prometheus operator. */
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { type Alert, alerts } from '../alerts.ts';
import type { DesiredOptions, RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

export function prometheusRule({ relay, kinds }: RelayInput, options: DesiredOptions): DesiredObject | null {
  const { monitoring, replicas, autoscaling } = relay.spec;
  // That nobody answers is no alarm where nobody should.
  const parked = replicas === 0 && autoscaling === undefined;
  if (monitoring.rules === 'Disabled' || !kinds.prometheusRule || parked) return null;
  const { name, namespace } = relay.metadata;
  const metadata = ownedMetadata(relay, namesOf(relay).relay);
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { ...metadata, labels: { ...options.monitoringLabels, ...metadata.labels } },
    spec: {
      groups: [
        { name: `postroad.${namespace}.${name}`, rules: alerts.map(alert => rule(alert, relay, options.runbookUrl)) },
      ],
    },
  };
}

function rule({ name, expression, severity, summary, ...alert }: Alert, relay: MailRelay, runbookUrl: string): unknown {
  const { namespace } = relay.metadata;
  return {
    alert: name,
    expr: expression.replaceAll('$pods', podMatchers(relay)),
    for: alert.for,
    labels: { severity, namespace, relay: relay.metadata.name },
    annotations: {
      summary: `MailRelay ${namespace}/${relay.metadata.name}: ${summary}`,
      runbook_url: `${runbookUrl}#${name.toLowerCase()}`,
    },
  };
}

/** By the labels that every way of finding pods sets. No segment of the pattern may hold a hyphen: `a` must not match the pods of `a-relay-b`. */
export function podMatchers(relay: MailRelay): string {
  const { relay: prefix } = namesOf(relay);
  const rest = relay.spec.queue.type === 'Volume' ? '[0-9]+' : '[a-z0-9]+-[a-z0-9]+';
  return `namespace="${relay.metadata.namespace}",pod=~"${prefix}-${rest}"`;
}
