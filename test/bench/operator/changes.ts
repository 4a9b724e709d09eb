/** One policy changes at a time: how long until it is programmed, and what else is touched by it. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import { domainPolicies } from '../../../operator/cluster/kinds.ts';
import { type KubeObject, keyOf, type ObjectName, pathOf } from '../../../operator/kube/object.ts';
import { policyName, relayName } from './fleet.ts';
import type { ScaleWorld } from './scale-world.ts';
import { type RequestCounts, requestCounts, since, writesOf } from './server-figures.ts';
import { untilStill } from './settle.ts';

export interface Changes {
  /** From the answer to the change until a watch shows that it is programmed, ascending. */
  readonly latenciesMs: readonly number[];
  readonly writes: RequestCounts;
  /** Relays and policies that were changed beside the one that was asked to and its relay. */
  readonly disturbed: readonly string[];
}

export interface ChangeOptions {
  readonly count: number;
  readonly relays: number;
  readonly policies: number;
  readonly random: () => number;
  readonly limitMs: number;
}

export async function changes(world: ScaleWorld, options: ChangeOptions): Promise<Changes> {
  const { count, random, relays, policies, limitMs } = options;
  const { sightings, api } = world;
  const before = await requestCounts(api.server.admin);
  const expected = new Set<string>();
  const latenciesMs: number[] = [];
  sightings.takeChanged('relay');
  sightings.takeChanged('policy');
  for (let done = 0; done < count; done++) {
    const index = Math.floor(random() * policies);
    const name = policyName(index);
    expected.add(`policy ${keyOf(name)}`).add(`relay ${keyOf(relayName(index % relays))}`);
    latenciesMs.push(await changeOne(world, name, { user: `user-${index}-${done}`, limitMs }));
  }
  await untilStill(world);
  const changed = [
    ...[...sightings.takeChanged('policy')].map(key => `policy ${key}`),
    ...[...sightings.takeChanged('relay')].map(key => `relay ${key}`),
  ];
  return {
    latenciesMs: latenciesMs.toSorted((one, other) => one - other),
    writes: writesOf(since(before, await requestCounts(api.server.admin))),
    disturbed: changed.filter(key => !expected.has(key)),
  };
}

async function changeOne(
  { client, sightings }: ScaleWorld,
  name: ObjectName,
  { user, limitMs }: { readonly user: string; readonly limitMs: number },
): Promise<number> {
  const signal = AbortSignal.timeout(limitMs);
  const changed = await client.request<DomainPolicy & KubeObject>({
    method: 'PATCH',
    path: pathOf(domainPolicies, name),
    body: { spec: { senders: { users: [user] } } },
    contentType: 'application/merge-patch+json',
    signal,
  });
  const answeredMs = performance.now();
  const doneMs = await sightings.whenDone('policy', keyOf(name), changed.metadata.generation ?? 0, signal);
  return Math.max(0, doneMs - answeredMs);
}

/** Of ascending values; the share is of (0, 1]. */
export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length, Math.ceil(ascending.length * share)) - 1] ?? Number.NaN;
}
