/** The records of a policy as an object of external-dns, in the policy's namespace and owned by it. Pure. */
import { apiVersion } from '../../crds/common.ts';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { optionalKinds } from '../cluster/kinds.ts';
import { fieldManager, policyNameLabel, policyNamespaceLabel } from '../labels.ts';
import type { DesiredObject } from '../mailrelay/desired/object.ts';
import { characterStrings } from './dns-record.ts';

export interface EndpointRecord {
  readonly name: string;
  readonly value: string;
}

const ttlSeconds = 3600;

export function endpointName({ metadata: { name } }: DomainPolicy): string {
  return `${name}-dns`;
}

/** @throws Error for a policy that did not come from an API server: it has no uid to own by. */
export function dnsEndpoint(policy: DomainPolicy, records: readonly EndpointRecord[]): DesiredObject {
  const { name, namespace, uid } = policy.metadata;
  if (uid === undefined) throw new Error(`DomainPolicy ${namespace}/${name} has no uid`);
  const owner = { apiVersion, kind: 'DomainPolicy', name, uid, controller: true, blockOwnerDeletion: true };
  const { apiVersion: version, kind } = optionalKinds.dnsEndpoint;
  return {
    apiVersion: version,
    kind,
    metadata: {
      name: endpointName(policy),
      namespace,
      labels: {
        'app.kubernetes.io/name': 'postroad',
        'app.kubernetes.io/part-of': 'postroad',
        'app.kubernetes.io/managed-by': fieldManager,
        [policyNamespaceLabel]: namespace,
        [policyNameLabel]: name,
      },
      ownerReferences: [owner],
    },
    spec: {
      endpoints: records.map(({ name: dnsName, value }) => ({
        dnsName,
        recordTTL: ttlSeconds,
        recordType: 'TXT',
        targets: [target(value)],
      })),
    },
  };
}

/** As in a zone file: quoted, and cut where a string may not be longer (RFC 1035 s3.3). */
function target(value: string): string {
  return characterStrings(value)
    .map(part => `"${part}"`)
    .join(' ');
}

/** What an endpoint of ours says of a name now; undefined: nothing. */
export function valueIn(endpoint: unknown, dnsName: string): string | undefined {
  const { spec } = (endpoint ?? {}) as { readonly spec?: { readonly endpoints?: readonly Endpoint[] } };
  const found = spec?.endpoints?.find(one => one.dnsName === dnsName)?.targets?.[0];
  return found?.replace(/^"|"$/g, '').replaceAll('" "', '');
}

interface Endpoint {
  readonly dnsName?: string;
  readonly targets?: readonly string[];
}
