/**
 * What running pods are told by their metadata, as partial objects for server-side apply.
 *
 * A changed annotation makes kubelet look at the pod again, and so refresh its files at once instead of within a minute or two. Where it looked
 * before it had seen what was written, it is made to look again, a few times at most (pods.ts). The serving label takes a pod that is to go out of its Service before it goes.
 */
import { nudgesAnnotation, revisionAnnotation, servingLabel } from '../../labels.ts';
import type { ObservedPod, RelayInput } from './input.ts';
import type { DesiredObject } from './object.ts';
import { isGoing, type Scale } from './scale.ts';

export function podNudges(
  { relay, existing }: Pick<RelayInput, 'relay' | 'existing'>,
  revision: string | undefined,
  scale: Scale,
): DesiredObject[] {
  return existing.pods
    .filter(({ terminating }) => !terminating)
    .flatMap(pod => {
      const { name, uid, labels, annotations, nudged } = pod;
      const serving = servingOf(pod, relay, scale);
      const told = revision ?? annotations[revisionAnnotation];
      const isToldAlready = annotations[revisionAnnotation] === told;
      const before = isToldAlready ? nudgesOf(annotations) : 0;
      // The leader before this one may have told it more often.
      const times = isToldAlready && nudged.revision === told ? Math.max(before, nudged.times) : before;
      if (labels[servingLabel] === serving && isToldAlready && times === before) return [];
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
            ...(told !== undefined && { annotations: { [revisionAnnotation]: told, ...timesTold(times) } }),
          },
        },
      ];
    });
}

/**
 * What is about to be ended stays as it is. Back in the Service for that moment, it would get clients, and what it said of its queue would
 * not stand: an empty volume would be kept.
 */
function servingOf(pod: ObservedPod, relay: RelayInput['relay'], scale: Scale): string {
  if (scale.leaving.includes(pod.name)) return 'false';
  return isGoing(pod, relay, scale) ? (pod.labels[servingLabel] ?? 'true') : 'true';
}

function nudgesOf({ [nudgesAnnotation]: text = '0' }: Readonly<Record<string, string>>): number {
  return /^[0-9]{1,3}$/.test(text) ? Number(text) : 0;
}

function timesTold(times: number): Readonly<Record<string, string>> {
  return times === 0 ? {} : { [nudgesAnnotation]: String(times) };
}
