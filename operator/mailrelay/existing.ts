/** What there is of a relay, as the caches show it. Decoded once for each version of an object: most passes find nothing new. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { resourceOf, secrets } from '../cluster/kinds.ts';
import type { SecretData } from '../credentials.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import type { KubeObject } from '../kube/object.ts';
import { isOwnedBy, revisionAnnotation, servingLabel } from '../labels.ts';
import { mostShards } from './desired/files.ts';
import type { Existing, ObservedPod } from './desired/input.ts';
import { namesOf } from './desired/names.ts';
import type { PodReports, SeenPod } from './pods.ts';

/** Whatever is under a name of ours and is the relay's own. */
export function ownedObject(
  cluster: Cluster,
  relay: MailRelay,
  kind: { readonly apiVersion: string; readonly kind: string; readonly name: string },
): KubeObject | undefined {
  const live = cluster.managed(resourceOf(kind), `${relay.metadata.namespace}/${kind.name}`);
  return live !== undefined && isOwnedBy(live.metadata.ownerReferences, relay) ? live : undefined;
}

export function workloadOf(cluster: Cluster, relay: MailRelay): Workload | undefined {
  const kind = relay.spec.queue.type === 'Volume' ? 'StatefulSet' : 'Deployment';
  return ownedObject(cluster, relay, { apiVersion: 'apps/v1', kind, name: namesOf(relay).relay }) as
    | Workload
    | undefined;
}

/** As far as it is read: a StatefulSet or a Deployment. */
export interface Workload extends KubeObject {
  readonly spec: {
    readonly replicas?: number;
    readonly volumeClaimTemplates?: readonly Claim[];
    readonly template: {
      readonly spec: {
        readonly volumes?: readonly {
          readonly name: string;
          readonly projected?: { readonly sources?: readonly { readonly secret?: unknown }[] };
        }[];
      };
    };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly readyReplicas?: number;
    readonly updatedReplicas?: number;
  };
}

interface Claim extends Partial<KubeObject> {
  readonly spec?: { readonly resources?: { readonly requests?: { readonly storage?: string } } };
}

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

interface Secret extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

interface Pod extends KubeObject {
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export function existingOf(cluster: Cluster, relay: MailRelay, reports: PodReports): Existing {
  const names = namesOf(relay);
  const config: ConfigMap | undefined = ownedObject(cluster, relay, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: names.config,
  });
  const autoscaler = { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', name: names.relay };
  return {
    workload: describe(workloadOf(cluster, relay)),
    configText: config?.data?.['relay.json'],
    fileShards: shardsOf(cluster, relay),
    pods: podsOf(cluster, relay, reports),
    claims: new Map(claimsOf(cluster, relay).map(({ ordinal, claim }) => [ordinal, { size: sizeOf(claim) ?? 0 }])),
    hasAutoscaler: ownedObject(cluster, relay, autoscaler) !== undefined,
  };
}

/** What the ConfigMap that is there says. */
export function writtenRevision(cluster: Cluster, relay: MailRelay): string | undefined {
  const config = ownedObject(cluster, relay, { apiVersion: 'v1', kind: 'ConfigMap', name: namesOf(relay).config });
  return config?.metadata.annotations?.[revisionAnnotation];
}

function describe(workload: Workload | undefined): Existing['workload'] {
  if (workload === undefined) return undefined;
  const { replicas = 1, volumeClaimTemplates, template } = workload.spec;
  const config = template.spec.volumes?.find(({ name }) => name === 'config');
  const mounted = config?.projected?.sources?.filter(({ secret }) => secret !== undefined) ?? [];
  return { replicas, claimSize: sizeOf(volumeClaimTemplates?.[0]), fileShards: mounted.length };
}

function sizeOf(claim: Claim | undefined): string | undefined {
  return claim?.spec?.resources?.requests?.storage;
}

/** Up to the last one that is there: each keeps its place. */
function shardsOf(cluster: Cluster, relay: MailRelay): SecretData[] {
  const names = namesOf(relay);
  const shards = Array.from({ length: mostShards }, (_, index) =>
    ownedObject(cluster, relay, { ...secrets, name: names.files(index) }),
  );
  const count = shards.findLastIndex(shard => shard !== undefined) + 1;
  return shards.slice(0, count).map(shard => (shard === undefined ? new Map() : dataOf(shard)));
}

const decoded = new WeakMap<KubeObject, SecretData>();

export function dataOf(secret: KubeObject): SecretData {
  const known = decoded.get(secret);
  if (known !== undefined) return known;
  const { data = {} } = secret as Secret;
  const fresh = new Map(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64')]));
  decoded.set(secret, fresh);
  return fresh;
}

/** Those that have not run to their end: an evicted pod's object stays. */
function runningPods(cluster: Cluster, relay: MailRelay): Pod[] {
  const all: readonly Pod[] = cluster.podsOf(nameOf(relay));
  return all.filter(
    pod => isOfWorkload(pod, relay) && pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed',
  );
}

/**
 * Anybody's pod may carry our labels: it holds no mail of the relay, and must neither be asked nor hold up the relay's end. By name and not
 * by uid: pods of a workload that was deleted and made anew still hold their queues.
 */
function isOfWorkload({ metadata: { name, ownerReferences = [] } }: Pod, relay: MailRelay): boolean {
  const workload = namesOf(relay).relay;
  const owner = ownerReferences.find(({ controller }) => controller === true);
  if (owner?.kind === 'StatefulSet') return owner.name === workload && ordinalIn(name, `${workload}-`) !== undefined;
  return owner?.kind === 'ReplicaSet' && owner.name.startsWith(`${workload}-`) && name.startsWith(`${owner.name}-`);
}

function ordinalIn(name: string, prefix: string): number | undefined {
  const ordinal = name.slice(prefix.length);
  return name.startsWith(prefix) && /^(0|[1-9][0-9]{0,4})$/.test(ordinal) ? Number(ordinal) : undefined;
}

export function seenPods(cluster: Cluster, relay: MailRelay): SeenPod[] {
  return runningPods(cluster, relay).map(({ metadata, status }) => ({
    name: metadata.name,
    uid: metadata.uid ?? '',
    address: status?.podIP,
    ready: isReady(status),
    terminating: metadata.deletionTimestamp !== undefined,
    isServing: metadata.labels?.[servingLabel] !== 'false',
  }));
}

function podsOf(cluster: Cluster, relay: MailRelay, reports: PodReports): ObservedPod[] {
  return runningPods(cluster, relay).map(({ metadata, status }) => ({
    name: metadata.name,
    uid: metadata.uid ?? '',
    ready: isReady(status),
    terminating: metadata.deletionTimestamp !== undefined,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    report: reportOf(reports, relay, metadata.name),
    nudged: reports.nudged(nameOf(relay), metadata.name),
    storeTroubles: reports.storeTroubles(nameOf(relay), metadata.name),
  }));
}

/** How much a pod holds is known of one that takes no more mail; of any other it is what it was, and may be more by now. */
function reportOf(reports: PodReports, relay: MailRelay, podName: string): ObservedPod['report'] {
  const heard = reports.heard(nameOf(relay), podName);
  if (heard === undefined) return undefined;
  const isDone = reports.emptied(nameOf(relay)).has(podName);
  return { revision: heard.revision, queuedRecipients: isDone ? 0 : Number.POSITIVE_INFINITY };
}

function isReady(status: Pod['status']): boolean {
  return status?.conditions?.some(one => one.type === 'Ready' && one.status === 'True') ?? false;
}

export interface RelayClaim {
  readonly ordinal: number;
  readonly claim: KubeObject;
}

/** Volumes of the relay's pods that are not already on their way out. */
export function claimsOf(cluster: Cluster, relay: MailRelay): RelayClaim[] {
  const prefix = namesOf(relay).claim(0).slice(0, -1);
  return cluster.claimsOf(nameOf(relay)).flatMap(claim => {
    const { name, deletionTimestamp } = claim.metadata;
    const ordinal = ordinalIn(name, prefix);
    return ordinal !== undefined && deletionTimestamp === undefined ? [{ ordinal, claim }] : [];
  });
}
