/** Before a relay with a shared queue becomes smaller: its pods are asked what they have under way, and those with the least are marked to go first. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import { isConflict, isNotFound } from '../kube/errors.ts';
import { deletionCosts } from './desired/deletion-costs.ts';
import type { Desired } from './desired/desired.ts';
import type { ObservedPod } from './desired/input.ts';
import type { DesiredObject } from './desired/object.ts';
import { seenPods, workloadOf } from './existing.ts';
import type { PodReportsOptions } from './pods.ts';
import type { RelayWriter } from './writer.ts';

export interface MarkIdlestParts {
  readonly cluster: Cluster;
  readonly writer: RelayWriter;
  readonly port: number;
  readonly ask: PodReportsOptions['ask'];
}

export interface IdlestTurn {
  readonly relay: MailRelay;
  readonly desired: Desired;
  readonly pods: readonly ObservedPod[];
  readonly signal: AbortSignal;
}

/** Nothing where the relay does not become smaller. Takes as long as one answer may. @throws ApiError, ConnectionError */
export type MarkIdlest = (turn: IdlestTurn) => Promise<void>;

export function createMarkIdlest({ cluster, writer, port, ask }: MarkIdlestParts): MarkIdlest {
  /** By relay, the workload as it was when its pods were marked: a cache that is behind must not have others marked while the first ones go. */
  const marked = new Map<string, string>();

  async function loadsOf(relay: MailRelay, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const loads = new Map<string, number>();
    const reachable = seenPods(cluster, relay).filter(({ ready, terminating }) => ready && !terminating);
    await Promise.all(
      reachable.map(async ({ name, address }) => {
        const report = address === undefined ? undefined : await ask({ address, port, signal });
        if (report !== undefined) loads.set(name, report.openSessions + report.deliveries);
      }),
    );
    return loads;
  }

  async function mark(key: string, cost: DesiredObject, signal: AbortSignal): Promise<void> {
    const live = cluster.podsOf(key).find(({ metadata }) => metadata.uid === cost.metadata.uid);
    try {
      await writer.handOver(cost, live, signal);
    } catch (error) {
      // Gone meanwhile: one less to end.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }

  return async ({ relay, desired, pods, signal }) => {
    const { replicas: wanted } = desired.scale;
    const workload = workloadOf(cluster, relay);
    const key = nameOf(relay);
    const running = workload?.spec.replicas ?? 0;
    const isSmaller = relay.spec.queue.type === 'Redis' && wanted !== undefined && wanted > 0 && wanted < running;
    if (!isSmaller) return void marked.delete(key);
    const version = `${workload?.metadata.uid} ${workload?.metadata.generation} ${wanted}`;
    if (marked.get(key) === version) return;
    const loads = await loadsOf(relay, signal);
    const { namespace } = relay.metadata;
    for (const cost of deletionCosts({ namespace, pods, loads, wanted })) await mark(key, cost, signal);
    marked.set(key, version);
  };
}
