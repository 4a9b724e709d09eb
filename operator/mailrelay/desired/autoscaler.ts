/** Pods by load: by their CPU, and where asked for by how long mail has waited. */
import type { MailRelay } from '../../../crds/mail-relay.ts';
import type { RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

type Autoscaling = NonNullable<MailRelay['spec']['autoscaling']>;

/**
 * Not before there is a workload, whose number of pods is handed over first (workload.ts); and not while the relay is being deleted:
 * its pods must not grow more while they empty the queue.
 */
export function autoscaler({ relay, existing }: Pick<RelayInput, 'relay' | 'existing'>): DesiredObject | null {
  const { autoscaling } = relay.spec;
  const deleted = relay.metadata.deletionTimestamp !== undefined;
  if (autoscaling === undefined || deleted || existing.workload === undefined) return null;
  const { minReplicas, maxReplicas, targetCPUUtilizationPercent, targetQueueAgeSeconds } = autoscaling;
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
        ...(targetQueueAgeSeconds === undefined ? [] : [queueAge(targetQueueAgeSeconds)]),
      ],
      ...(targetQueueAgeSeconds !== undefined && { behavior: steadily }),
    },
  };
}

/** Of type Pods, and with a pace of its own: docs/decisions/0015. */
function queueAge(seconds: NonNullable<Autoscaling['targetQueueAgeSeconds']>): object {
  return {
    type: 'Pods',
    pods: {
      metric: { name: 'postroad_queue_oldest_due_age_seconds' },
      target: { type: 'AverageValue', averageValue: String(seconds) },
    },
  };
}

/**
 * An age that is above its target multiplies the pods each time that it is looked at, every 15 seconds, while a new pod shows in it no sooner
 * than it has started and was scraped. By Kubernetes' own pace (four more, or twice as many, each time) there would be `maxReplicas` by then.
 */
const steadily = { scaleUp: { policies: [{ type: 'Percent', value: 100, periodSeconds: 60 }] } };
