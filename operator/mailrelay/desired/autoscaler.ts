/** Pods by load. */
import type { RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

/**
 * Not before there is a workload, whose number of pods is handed over first (workload.ts); and not while the relay is being deleted:
 * its pods must not grow more while they empty the queue.
 */
export function autoscaler({ relay, existing }: Pick<RelayInput, 'relay' | 'existing'>): DesiredObject | null {
  const { autoscaling } = relay.spec;
  const deleted = relay.metadata.deletionTimestamp !== undefined;
  if (autoscaling === undefined || deleted || existing.workload === undefined) return null;
  const { minReplicas, maxReplicas, targetCPUUtilizationPercent } = autoscaling;
  const { relay: name } = namesOf(relay);
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: ownedMetadata(relay, name),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
      minReplicas,
      maxReplicas,
      metrics: [
        {
          type: 'Resource',
          resource: {
            name: 'cpu',
            target: { type: 'Utilization', averageUtilization: targetCPUUtilizationPercent },
          },
        },
      ],
    },
  };
}
