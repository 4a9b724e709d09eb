/** How many pods a drain of nodes may take at a time. */
import type { MailRelay } from '../../../crds/mail-relay.ts';
import { selectorLabels } from '../../labels.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

export function disruptionBudget(relay: MailRelay): DesiredObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: ownedMetadata(relay, namesOf(relay).relay),
    spec: {
      maxUnavailable: relay.spec.disruption.maxUnavailable,
      selector: { matchLabels: selectorLabels(relay) },
      // A pod that does not work protects nobody by staying, and must not keep a node from being drained.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  };
}
