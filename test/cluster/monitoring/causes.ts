/** All that is made to happen, and what cannot be. */
import type { Cause } from './alert-watch.ts';
import { operatorCauses } from './operator-causes.ts';
import { crashing, podCauses, slowDisk } from './pod-causes.ts';
import { missingRecords } from './policy-causes.ts';
import { forgetfulRedis } from './redis-causes.ts';
import { deliveryCauses, handMadeConfiguration, oldCertificate, swappedKeys } from './relay-causes.ts';
import { volumeCauses } from './volume-causes.ts';
import type { World } from './world.ts';

/** Each lane is made one cause after the other, beside the other lanes: a lane for each that bears but one at a time. */
export function causesIn(world: World): readonly (readonly Cause[])[] {
  return [
    [...deliveryCauses(world), slowDisk(world)],
    [handMadeConfiguration(world), swappedKeys(world), ...podCauses(world)],
    [crashing(world)],
    volumeCauses(world),
    [oldCertificate(world)],
    [missingRecords(world)],
    operatorCauses(world),
    [forgetfulRedis(world)],
  ];
}

/** The name of the rule of what a cause lists. */
export function ruleOf(alert: string): string {
  return alert.split(' ')[0] ?? '';
}

/** Why nothing that can happen to this cluster within minutes makes them fire. */
export const notFired: Readonly<Record<string, string>> = {
  PostroadOperatorCacheStale:
    'takes a quarter of an hour without the sign of life that the API server sends each minute',
  PostroadOperatorReconcileHangs: 'every step has a time limit: only a fault of the operator lasts ten minutes',
  PostroadOperatorQueueStuck: 'only a fault of the operator leaves keys waiting while workers are idle',
  PostroadOperatorFallsBehind: 'takes minutes of an API server that is slow and not down',
  PostroadOperatorHandlerErrors: 'only a fault of the operator keeps it from taking up a change',
};
