/** The operator comes back to a world that is as it should be; and to one where something new is asked for meanwhile. */
import { domainPolicies, mailRelays } from '../../../operator/cluster/kinds.ts';
import { keyOf } from '../../../operator/kube/object.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { cpuSecondsOf } from '../relay/usage.ts';
import { type FleetSize, fleetPolicy, fleetRelay, policyNamespace, relayNamespace } from './fleet.ts';
import { busy, rssOf, seriesOf, sum, writesByKind, writesByOperator } from './operator-figures.ts';
import type { ScaleWorld } from './scale-world.ts';
import { type RequestCounts, requestCounts, since, writesOf } from './server-figures.ts';

export interface Restart {
  readonly operator: OperatorProcess;
  /** From its start until it leads, with all caches read. */
  readonly leadingSeconds: number;
  /** From its start until everything was looked at. */
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  readonly writesByOperator: number;
  readonly writesByKind: ReadonlyMap<string, number>;
  /** Of anybody. */
  readonly writes: RequestCounts;
  readonly requests: RequestCounts;
  /** Relays and policies that changed. */
  readonly changed: readonly string[];
  /** From the answer to its creation until the last added object was as it should be. */
  readonly addedSeconds: number | undefined;
}

const limitMs = 300_000;

/** `added`: this many relays, each with one policy, are created as soon as the operator leads. */
export async function restart(world: ScaleWorld, size: FleetSize, added: number): Promise<Restart> {
  const { sightings, api } = world;
  const before = await requestCounts(api.server.admin);
  sightings.takeChanged('relay');
  sightings.takeChanged('policy');
  const startMs = performance.now();
  const operator = await world.startOperator();
  await waitUntil('the operator to lead', async () => sum(await seriesOf(operator), 'postroad_operator_leader') === 1, {
    limitMs,
    everyMs: 50,
  });
  const leadingSeconds = (performance.now() - startMs) / 1000;
  const addedSeconds = added === 0 ? undefined : await addOne(world, size);
  const keys = size.relays + size.policies;
  await waitUntil(
    'everything to be looked at',
    async () => {
      const series = await seriesOf(operator);
      return sum(series, 'postroad_operator_reconcile_total') >= keys && busy(series) === 0;
    },
    { limitMs, everyMs: 200 },
  );
  const seconds = (performance.now() - startMs) / 1000;
  const series = await seriesOf(operator);
  const requests = since(before, await requestCounts(api.server.admin));
  return {
    ...{ operator, leadingSeconds, seconds, addedSeconds, requests },
    cpuSeconds: await cpuSecondsOf([operator.pid]),
    peakRssBytes: (await rssOf(operator.pid)).peakBytes,
    writesByOperator: writesByOperator(series),
    writesByKind: writesByKind(series),
    writes: writesOf(requests),
    changed: [...sightings.takeChanged('relay'), ...sightings.takeChanged('policy')],
  };
}

/** A relay beyond the fleet, and a policy of it. */
async function addOne({ api, sightings }: ScaleWorld, { relays, policies }: FleetSize): Promise<number> {
  const signal = AbortSignal.timeout(limitMs);
  const relay = fleetRelay(relays, { namespace: relayNamespace(0), name: 'added' });
  const policy = fleetPolicy(policies, { namespace: policyNamespace(0), name: 'added' }, relay.metadata);
  await api.create(mailRelays, relay);
  await api.create(domainPolicies, policy);
  const answeredMs = performance.now();
  const doneMs = await Promise.all([
    sightings.whenDone('relay', keyOf(relay.metadata), 1, signal),
    sightings.whenDone('policy', keyOf(policy.metadata), 1, signal),
  ]);
  return (Math.max(...doneMs) - answeredMs) / 1000;
}
