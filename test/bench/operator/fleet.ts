/** What the cluster is asked for: relays with policies beside them, each by its number. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { domainPolicy, mailRelay } from '../../crds/objects.ts';

export interface FleetSize {
  readonly relays: number;
  readonly policies: number;
}

/** Every name of the fleet is below it. */
export const zone = 'fleet.example';

const relaysInNamespace = 100;
const policiesInNamespace = 50;

export function relayNamespace(index: number): string {
  return `mail-${Math.floor(index / relaysInNamespace)}`;
}

export function policyNamespace(index: number): string {
  return `team-${Math.floor(index / policiesInNamespace)}`;
}

export function namespacesOf({ relays, policies }: FleetSize): string[] {
  const names = [
    ...[relayNamespace(0), policyNamespace(0)],
    ...Array.from({ length: relays }, (_, index) => relayNamespace(index)),
    ...Array.from({ length: policies }, (_, index) => policyNamespace(index)),
  ];
  return [...new Set(names)];
}

interface Name {
  readonly namespace: string;
  readonly name: string;
}

export function relayName(index: number): Name {
  return { namespace: relayNamespace(index), name: `relay-${index}` };
}

export function policyName(index: number): Name {
  return { namespace: policyNamespace(index), name: `policy-${index}` };
}

/** As most are written: one pod, a queue on a volume, a certificate of its own. */
export function fleetRelay(index: number, metadata: Name = relayName(index)): MailRelay & KubeObject {
  const spec = {
    replicas: 1,
    hostname: `mx${index}.${zone}`,
    listeners: [
      { name: 'smtp', port: 25, protocol: 'SMTP', tls: 'Optional', authentication: 'Optional' },
      { name: 'submission', port: 587, protocol: 'SMTP', tls: 'Required', authentication: 'Required' },
    ],
    policies: { namespaces: { from: 'All' } },
  };
  return mailRelay(spec, { ...metadata }) as MailRelay & KubeObject;
}

/** With an RSA and an Ed25519 key. */
export function fleetPolicy(index: number, metadata: Name, relay: Name): DomainPolicy & KubeObject {
  const spec = {
    relayRef: { namespace: relay.namespace, name: relay.name },
    domains: [`d${index}.${zone}`],
    senders: { users: [`user-${index}`] },
    dkim: { type: 'Managed', managed: { algorithms: ['RSA2048', 'Ed25519'] } },
  };
  return domainPolicy(spec, { ...metadata }) as DomainPolicy & KubeObject;
}
