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

/** Before it is known what the owner has there, an SPF record of ours could take its place; one that we wrote stays as it is. */
function publishedValue(
  { name, purpose, state, value }: CheckedRecord,
  policy: DomainPolicy,
  live: KubeObject | undefined,
): string | undefined {
  if (purpose !== 'SPF' || state !== 'Unknown' || policy.spec.dns.checks === 'Disabled') return value;
  return valueIn(live, name);
}
