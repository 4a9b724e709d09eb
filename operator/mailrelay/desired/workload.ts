/**
 * What runs the pods: a StatefulSet where each has its queue on a volume, a Deployment where they share a Redis.
 *
 * Volumes are kept when a pod or the whole StatefulSet goes, and no volume is owned by the relay: garbage collection asks nobody whether a queue is
 * empty. Fields that the API server lets nobody change are rendered as they were observed, or an accepted change of the spec
 * would be refused here for ever after.
 */

import { selectorLabels } from '../../labels.ts';
import type { DesiredOptions, RelayInput } from './input.ts';
import { namesOf, queueVolume } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';
import { podTemplateOf } from './pod.ts';
import type { Scale } from './scale.ts';

export interface WorkloadInput {
  readonly input: RelayInput;
  readonly scale: Scale;
  readonly fileShards: number;
  readonly options: DesiredOptions;
}

/** Old ReplicaSets and ControllerRevisions to go back to. */
const revisionHistoryLimit = 3;

/** `null` while there is no configuration that a pod could start with. */
export function statefulSet({ input, scale, fileShards, options }: WorkloadInput): DesiredObject | null {
  const { relay, existing } = input;
  const { volume } = relay.spec.queue;
  if (volume === undefined || fileShards === 0) return null;
  const names = namesOf(relay);
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: ownedMetadata(relay, names.relay),
    spec: {
      ...(scale.replicas !== undefined && { replicas: scale.replicas }),
      serviceName: names.headless,
      selector: { matchLabels: selectorLabels(relay) },
      revisionHistoryLimit,
      // Pods do not need each other: one that cannot start must not keep the rest from it.
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'RollingUpdate' },
      persistentVolumeClaimRetentionPolicy: { whenScaled: 'Retain', whenDeleted: 'Retain' },
      template: podTemplateOf({ relay, fileShards, options }),
      volumeClaimTemplates: [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name: queueVolume, labels: selectorLabels(relay) },
          spec: {
            accessModes: ['ReadWriteOnce'],
            ...(volume.storageClassName !== undefined && { storageClassName: volume.storageClassName }),
            resources: { requests: { storage: String(existing.workload?.claimSize ?? volume.size) } },
          },
        },
      ],
    },
  };
}

export function deployment({ input, scale, fileShards, options }: WorkloadInput): DesiredObject | null {
  const { relay, existing } = input;
  if (relay.spec.queue.type !== 'Redis' || fileShards === 0) return null;
  // The autoscaler comes after the workload; until then somebody must say a number, or it would be 1.
  const first = existing.workload === undefined ? relay.spec.autoscaling?.minReplicas : undefined;
  const replicas = scale.replicas ?? first;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: ownedMetadata(relay, namesOf(relay).relay),
    spec: {
      ...(replicas !== undefined && { replicas }),
      selector: { matchLabels: selectorLabels(relay) },
      revisionHistoryLimit,
      // Never fewer than asked for.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: podTemplateOf({ relay, fileShards, options }),
    },
  };
}

/**
 * Applied as `handoverFieldManager` before the Deployment is applied without its number of pods: giving up a field that nobody else has
 * would reset it to 1, and with it most of the relay. The autoscaler takes the field over when it first changes it.
 */
export function replicaHandover({ relay, existing }: RelayInput, scale: Scale): DesiredObject | null {
  const { workload, hasAutoscaler } = existing;
  if (relay.spec.autoscaling === undefined || workload === undefined || hasAutoscaler) return null;
  // At its end the relay has a number of its own again: none.
  if (scale.replicas !== undefined) return null;
  const { namespace } = relay.metadata;
  const { minReplicas, maxReplicas } = relay.spec.autoscaling;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: namesOf(relay).relay, namespace },
    spec: { replicas: Math.min(Math.max(workload.replicas, minReplicas), maxReplicas) },
  };
}
