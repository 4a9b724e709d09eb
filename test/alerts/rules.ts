/** The alert rules as Prometheus is given them: of a relay by the operator, of the operator by the chart. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { desiredOf, find, storedRelay } from '../operator/mailrelay/relay-input.ts';

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Of a relay whose pods are `outbound-relay-0` and `outbound-relay-1`. */
export function relayRules(): readonly Rule[] {
  const object = find(desiredOf(storedRelay()), 'PrometheusRule');
  const { groups } = (object as unknown as { spec: { groups: { rules: Rule[] }[] } }).spec;
  return groups.flatMap(({ rules }) => rules);
}

/** As the chart's template fills them in, for the pods `postroad-5d4f8c7b9-…`. */
export function operatorRules(): readonly Rule[] {
  const file = new URL('../../charts/postroad/files/operator-alerts.yaml', import.meta.url);
  const text = readFileSync(file, 'utf8')
    .replaceAll('$pods', 'namespace="postroad-system",pod=~"postroad-[a-z0-9]+-[a-z0-9]+"')
    .replaceAll('$namespace', 'postroad-system')
    .replaceAll('$runbooks', 'https://example.com/alerts.md');
  return parse(text) as Rule[];
}

export const podsOf = {
  relay: { namespace: 'mail', names: ['outbound-relay-0', 'outbound-relay-1'] },
  operator: { namespace: 'postroad-system', names: ['postroad-5d4f8c7b9-aaaaa', 'postroad-5d4f8c7b9-bbbbb'] },
} as const;
