/**
 * Which pods of a Deployment that becomes smaller go first: those with the least to end.
 *
 * Written only when the operator is about to ask for fewer pods, and only on those that should go: a number that followed the load would be a write
 * whenever the load changes. Of what an autoscaler takes away nobody knows beforehand.
 */
import { deletionCostAnnotation } from '../../labels.ts';
import type { ObservedPod } from './input.ts';
import type { DesiredObject } from './object.ts';

export interface Shrinking {
  readonly namespace: string;
  readonly pods: readonly ObservedPod[];
  /** What each pod that was heard has under way, by name. */
  readonly loads: ReadonlyMap<string, number>;
  /** Pods that stay. */
  readonly wanted: number;
}

const goesFirst = '-1';

/** Parts of pods, for server-side apply; none where it makes no difference. Pods that are not ready go before all of these anyway. */
export function deletionCosts({ namespace, pods, loads, wanted }: Shrinking): DesiredObject[] {
  const ready = pods.filter(pod => pod.ready && !pod.terminating);
  // Who does not answer may have more to do than all others.
  const loadOf = ({ name }: ObservedPod): number => loads.get(name) ?? Number.POSITIVE_INFINITY;
  const byLoad = ready.toSorted((one, other) => loadOf(one) - loadOf(other) || (one.name < other.name ? -1 : 1));
  const [idlest, busiest] = [byLoad[0], byLoad.at(-1)];
  const isAlike = idlest === undefined || busiest === undefined || loadOf(idlest) === loadOf(busiest);
  const going = new Set(isAlike ? [] : byLoad.slice(0, Math.max(0, ready.length - wanted)));
  return ready
    .map(pod => ({ pod, cost: going.has(pod) ? goesFirst : '0' }))
    .filter(({ pod, cost }) => (pod.annotations[deletionCostAnnotation] ?? '0') !== cost)
    .map(({ pod: { name, uid }, cost }) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      // Refused instead of applied to another pod that has come by this name.
      metadata: { name, namespace, uid, annotations: { [deletionCostAnnotation]: cost } },
    }));
}
