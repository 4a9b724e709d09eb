/** What an operator makes of relays and policies, without what chance and time decide: two that were asked for the same have the same. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { domainPolicies, mailRelays, managedKinds, optionalKinds } from '../../../operator/cluster/kinds.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { policyNameLabel } from '../../../operator/labels.ts';
import type { ApiWorld } from '../api-world.ts';
import { listOf, managedSelector, type Places } from './random-changes.ts';

/** By kind and name; the places' own names are taken out. */
export async function normalForm(world: ApiWorld, places: Places): Promise<ReadonlyMap<string, unknown>> {
  const found = new Map<string, unknown>();
  const others = new Set<object>(Object.values(optionalKinds));
  for (const resource of managedKinds.filter(one => !others.has(one))) {
    const list = { namespace: places.relays, labelSelector: managedSelector };
    for (const object of await listOf(world, resource, list))
      found.set(nameIn(resource.kind, object), content(resource.kind, object, places));
  }
  for (const { metadata, status } of await listOf<MailRelay & KubeObject>(world, mailRelays, {
    namespace: places.relays,
  }))
    found.set(`MailRelay ${metadata.name}`, verdicts(status));
  for (const policy of await listOf<DomainPolicy & KubeObject>(world, domainPolicies, { namespace: places.policies }))
    found.set(`DomainPolicy ${policy.metadata.name}`, {
      conditions: verdicts(policy.status),
      keys: policy.status?.dkim?.keys.map(({ algorithm, state }) => `${algorithm} ${state}`).sort(),
      records: policy.status?.dnsRecords
        ?.map(({ purpose, name, state }) => masked(`${purpose} ${name} ${state}`))
        .sort(),
    });
  return found;
}

/** The name of a policy's Secret has a digest of the policy's whole name in it. */
function nameIn(kind: string, { metadata: { name, labels } }: KubeObject): string {
  const policy = labels?.[policyNameLabel];
  return policy === undefined ? `${kind} ${masked(name)}` : `${kind} of policy ${policy}`;
}

interface Conditions {
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
}

function verdicts(status: Conditions | undefined): string[] {
  return (status?.conditions ?? []).map(({ type, status: holds, reason }) => `${type} ${holds} ${reason}`).sort();
}

function content(kind: string, object: KubeObject, places: Places): unknown {
  const { metadata, ...rest } = object as KubeObject & Readonly<Record<string, unknown>>;
  const { labels, annotations = {} } = metadata;
  const kept = Object.keys(annotations).sort();
  const body =
    kind === 'Secret'
      ? {
          entries: Object.keys(rest['data'] ?? {})
            .map(masked)
            .sort(),
        }
      : { ...rest, status: undefined };
  const text = JSON.stringify({ labels, kept, ...body })
    .replaceAll(places.relays, 'RELAYS')
    .replaceAll(places.policies, 'POLICIES');
  return masked(text);
}

/** Selectors, digests, certificates and addresses that the server gives. */
function masked(text: string): string {
  return text
    .replaceAll(/-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----(\\n)*/g, 'PEM')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UID')
    .replaceAll(/[0-9a-f]{10,}/g, 'HEX')
    .replaceAll(/"(nodePort|healthCheckNodePort)":\d+/g, '"$1":0')
    .replaceAll(/10\.\d+\.\d+\.\d+/g, 'ADDRESS');
}
