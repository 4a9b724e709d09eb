/** The records of a policy for external-dns, where that is asked for and allowed. */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { optionalKinds } from '../cluster/kinds.ts';
import type { ControllerDeps } from '../controller.ts';
import { ApiError } from '../kube/errors.ts';
import { type KubeObject, keyOf } from '../kube/object.ts';
import { publishDnsLabel } from '../labels.ts';
import { dnsEndpoint, endpointName, valueIn } from './desired.ts';
import type { CheckedRecord } from './record-check.ts';
import type { PublishProblem } from './status.ts';

type Deps = Pick<ControllerDeps, 'cluster' | 'apply'>;

const resource = optionalKinds.dnsEndpoint;

/** Returns why the records are not with external-dns, where something of this cluster is in the way. */
export async function publishRecords(
  policy: DomainPolicy,
  records: readonly CheckedRecord[],
  deps: Deps,
  signal: AbortSignal,
): Promise<PublishProblem | undefined> {
  if (policy.spec.dns.publish === 'Manual') {
    await withdraw(policy, deps, signal);
    return undefined;
  }
  const obstacle = obstacleOf(policy, deps);
  if (obstacle !== undefined) return obstacle;
  try {
    return await write(policy, records, deps, signal);
  } catch (error) {
    // Confined to some namespaces, the operator may write none elsewhere; a policy may be there all the same.
    if (error instanceof ApiError && error.status === 403) return 'Forbidden';
    throw error;
  }
}

function obstacleOf({ metadata }: DomainPolicy, { cluster }: Deps): PublishProblem | undefined {
  if (!cluster.kinds.dnsEndpoint) return 'KindNotFound';
  // The records of any domain, keys to sign as it among them: that a namespace may write policies does not say that it may have those.
  const labels = cluster.namespaces.get(metadata.namespace) ?? {};
  return labels[publishDnsLabel] === 'Allowed' ? undefined : 'NotAllowed';
}

async function withdraw(policy: DomainPolicy, { cluster, apply }: Deps, signal: AbortSignal): Promise<void> {
  const live = cluster.managed(resource, keyOf(nameFor(policy)));
  if (live !== undefined && isOwn(live, policy)) await apply.delete({ resource, live, signal });
}

async function write(
  policy: DomainPolicy,
  records: readonly CheckedRecord[],
  { cluster, apply }: Deps,
  signal: AbortSignal,
): Promise<PublishProblem | undefined> {
  const name = nameFor(policy);
  // The cache shows what has our label, which anybody may have put there, and nothing else: before a first write it is looked what is there.
  const live = cluster.managed(resource, keyOf(name)) ?? (await apply.peek(resource, name, signal));
  if (live !== undefined && !isOwn(live, policy)) return 'NameTaken';
  const entries = records.flatMap(record => {
    const value = publishedValue(record, policy, live);
    return value === undefined ? [] : [{ name: record.name, value }];
  });
  if (entries.length > 0) await apply.apply({ resource, wanted: dnsEndpoint(policy, entries), live, signal });
  else if (live !== undefined) await apply.delete({ resource, live, signal });
  return undefined;
}

function nameFor(policy: DomainPolicy): { readonly namespace: string; readonly name: string } {
  return { namespace: policy.metadata.namespace, name: endpointName(policy) };
}

function isOwn(
  { metadata: { ownerReferences = [] } }: KubeObject,
  { metadata: { uid: ownUid } }: DomainPolicy,
): boolean {
  return ownerReferences.some(({ uid, controller }) => controller === true && uid === ownUid);
}

/**
 * Never beside what is somebody else's: of two DMARC or SPF records receivers use none (RFC 7489 s6.6.3, RFC 7208 s4.5), and external-dns
 * may take all texts of a name for its own. Published is what nobody has, and what was published before; the rest is the owner's to change,
 * as the status says. While it is not known what is there, all stays as it is.
 */
function publishedValue(
  { name, purpose, state, value, place, observed = '' }: CheckedRecord,
  { spec: { dns, dkim } }: DomainPolicy,
  live: KubeObject | undefined,
): string | undefined {
  const isOwnName = purpose === 'DKIM' && dkim.type === 'Managed';
  if (isOwnName || dns.checks === 'Disabled') return value;
  const before = valueIn(live, name);
  if (state === 'Unknown') return before;
  // A server that still says what we published before has one record; a second one is the owner's.
  if (before !== undefined) return observed.includes('\n') ? undefined : value;
  return place === 'Free' || place === 'Ours' ? value : undefined;
}
