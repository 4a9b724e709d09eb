/**
 * What running pods are told by their metadata, as partial objects for server-side apply.
 *
 * A changed annotation makes kubelet look at the pod again, and so refresh its files at once instead of within a minute or two. The serving label
 * takes a pod that is to go out of its Service before it goes.
 */
import { revisionAnnotation, servingLabel } from '../../labels.ts';
import type { RelayInput } from './input.ts';
import type { DesiredObject } from './object.ts';

export function podNudges(
  { relay, existing }: Pick<RelayInput, 'relay' | 'existing'>,
  revision: string | undefined,
  leaving: readonly string[],
): DesiredObject[] {
  return existing.pods
    .filter(({ terminating }) => !terminating)
    .flatMap(({ name, uid, labels, annotations }) => {
      const serving = String(!leaving.includes(name));
      const told = revision ?? annotations[revisionAnnotation];
      if (labels[servingLabel] === serving && annotations[revisionAnnotation] === told) return [];
      return [
        {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: {
            name,
            namespace: relay.metadata.namespace,
            // Refused instead of applied to another pod that has come by this name.
            uid,
            labels: { [servingLabel]: serving },
            ...(told !== undefined && { annotations: { [revisionAnnotation]: told } }),
          },
        },
      ];
    });
}
