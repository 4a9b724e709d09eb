/** spec.autoscaling and spec.shutdown of a MailRelay. */
import { defaulted, integer, object, optional } from './schema.ts';

const day = 86_400;

export const autoscaling = object(
  'Pods come and go with the load; `replicas` then means nothing. For queue type Redis, where no mail lives in a pod.',
  {
    minReplicas: integer('Fewest pods.', 1, 64),
    maxReplicas: integer('Most pods.', 1, 64),
    targetCPUUtilizationPercent: defaulted(integer('CPU in use, of what pods request, that is aimed at.', 1, 100), 70),
    targetQueueAgeSeconds: optional(
      integer(
        'Age of the longest overdue mail that is aimed at, beside the CPU: while it is above, pods are added, at most twice as many each minute. The cluster must serve `postroad_queue_oldest_due_age_seconds` of the pods at custom.metrics.k8s.io, as prometheus-adapter does; where it does not, pods are added by the CPU and none is taken away. Left out: the CPU alone.',
        1,
        day,
      ),
    ),
  },
  {
    rules: [
      {
        rule: 'self.minReplicas <= self.maxReplicas',
        message: 'minReplicas must be at most maxReplicas',
        check: self => self.minReplicas <= self.maxReplicas,
      },
    ],
  },
);

export const shutdown = object('How pods go away.', {
  gracePeriodSeconds: defaulted(
    integer(
      'A pod that stops, in an update say: time for its sessions and deliveries in flight. What waits stays in its queue for the next pod.',
      1,
      3600,
    ),
    25,
  ),
  drainTimeoutSeconds: defaulted(
    integer(
      'Deletion, and scaling down with queue type Volume: how long pods that are no longer wanted may deliver what their queues hold. Afterwards they go, and volumes that are not empty stay behind for you to keep or delete. 0: do not wait.',
      0,
      30 * day,
    ),
    3600,
  ),
});
