/**
 * Prometheus finds operator and relays as the shipped monitors say, by plain files of targets (test/cluster/monitoring/discovery.ts says
 * why); each shipped alert is made to fire by what it warns of, reaches Alertmanager, and resolves when that is mended; and the dashboard
 * shows something everywhere.
 *
 * Waiting times are shorter than shipped (test/cluster/monitoring/hurried.ts); expressions, labels and thresholds are not changed.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { pods } from '../../../operator/cluster/kinds.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { release, releaseNamespace } from '../cluster.ts';
import { nodeJourney, type PoweredCluster } from '../journey.ts';
import { AlertWatch } from '../monitoring/alert-watch.ts';
import type { Prometheus } from '../monitoring/api.ts';
import { causesIn, notFired, ruleOf } from '../monitoring/causes.ts';
import { dashboardQueries, hasData } from '../monitoring/dashboard.ts';
import { publish } from '../monitoring/policy-causes.ts';
import { sharing } from '../monitoring/redis-causes.ts';
import { defineKinds, type MonitoringStack, startMonitoring } from '../monitoring/stack.ts';
import { smallDisk } from '../monitoring/volume-causes.ts';
import {
  apply,
  keepSending,
  namespace,
  relayObjects,
  type World,
  wellAddress,
  whenReady,
} from '../monitoring/world.ts';
import { type Internet, startInternet } from '../outside/internet.ts';
import { startSharedRedis } from '../shared-redis.ts';

/** Less than five minutes where two other clusters have the same two cores; Prometheus has to get its answers within 2 s in any case. */
const limitMs = 10 * 60_000;
const relays = ['faulty', 'fragile', 'mortal', 'stale', sharing];
const operatorPods = 2;
const replicasOf = (relay: string): number => (relay === 'fragile' ? 2 : 1);
const usualTraffic = { from: 'a@fragile.test', clients: 1, pauseMs: 500 };

nodeJourney(
  'shipped monitors find all pods, shipped alerts fire and resolve, the dashboard has data',
  async (cluster, t) => {
    await using internet = await startInternet();
    const [redis] = await Promise.all([startSharedRedis(cluster), defineKinds(cluster), serveZones(internet)]);
    await cluster.installChart({ 'monitoring.dashboard': 'true' });
    await cluster.createNamespace(namespace);
    const objects = relays.flatMap(name =>
      relayObjects({
        ...{ name, domain: `${name}.test`, replicas: replicasOf(name) },
        ...(name === sharing && { spec: { queue: redis.queue } }),
      }),
    );
    await apply(cluster, [redis.secretIn(namespace), ...objects]);
    await Promise.all(relays.map(whenReady));
    say(t, 'the relays take mail');
    await using stack = await startMonitoring(cluster);
    const world: World = { cluster, internet, redis, hurried: stack.hurried };
    await Promise.all([smallDisk(world), ...relays.map(relay => publish(world, relay, `${relay}.test`))]);
    say(t, 'policies are ready');
    const shippedAlerts = await loadedAlerts(cluster, stack);
    await everyPodIsUp(cluster, stack.hurried);
    say(t, 'Prometheus sees every pod');

    await using watch = new AlertWatch(stack.alertmanager, line => say(t, line));
    const rest = await standsStill(watch);
    assert.deepEqual([...rest], [], 'nothing fires while all is well');
    await using traffic = keepSending({ ...usualTraffic, host: `fragile.${namespace}` });
    await Promise.all(causesIn(world).map(lane => watch.make(lane)));
    const failures = await watch.settled();
    await traffic[Symbol.asyncDispose]();
    for (const { alert, cause, firedAfterSeconds, resolvedAfterSeconds } of watch.rows) {
      say(
        t,
        `${alert} | ${cause} | fired after ${firedAfterSeconds.toFixed(0)} s | resolved after ${resolvedAfterSeconds.toFixed(0)} s`,
      );
    }
    for (const [alert, reason] of Object.entries(notFired)) say(t, `${alert} | not fired: ${reason}`);
    for (const failure of failures) say(t, String(failure));
    // Both wait for what is scraped at the shipped pace, every half minute; what they have to say comes after what failed before.
    const [empty, [up]] = await Promise.all([
      emptyQueries(cluster, stack.shipped, t),
      Promise.allSettled([everyPodIsUp(cluster, stack.shipped)]),
    ]);

    assert.deepEqual(failures, [], 'every cause makes its alerts fire, and they resolve');
    const fired = watch.rows.map(({ alert }) => ruleOf(alert));
    assert.deepEqual([...fired, ...Object.keys(notFired)].toSorted(), [...shippedAlerts].toSorted());
    if (up.status === 'rejected') throw up.reason;
    assert.deepEqual(empty, [], 'every query of the dashboard has data');
  },
  limitMs,
);

function say(t: TestContext, line: string): void {
  t.diagnostic(`${process.uptime().toFixed(0)} s: ${line}`);
}

async function serveZones(internet: Internet): Promise<void> {
  await internet.serve('well.test', ['@ MX 10 mx1', `mx1 A ${wellAddress}`]);
  await internet.serve('dead.test', ['* MX 10 mx1', 'mx1 A 198.51.100.66']);
  await internet.serve('silent.test', ['@ MX 10 mx1', 'mx1 A 198.51.100.68']);
  await internet.serve('refusing.test', ['@ MX 10 mx1', 'mx1 A 198.51.100.67']);
  await internet.mailHost(wellAddress);
  await internet.mailHost('198.51.100.67', { smtpd_recipient_restrictions: 'reject' });
}

/** Names of all that both Prometheus servers have, which must be healthy. */
async function loadedAlerts(
  cluster: PoweredCluster,
  { shipped, hurried }: MonitoringStack,
): Promise<ReadonlySet<string>> {
  const objects = await cluster.get<{ items: { spec: { groups: { rules: { alert: string }[] }[] } }[] }>(
    ...['prometheusrules', '-A'],
  );
  const wanted = objects.items.flatMap(({ spec }) =>
    spec.groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)),
  );
  for (const prometheus of [shipped, hurried]) {
    const rules = await waitUntil(
      `${wanted.length} rules to be evaluated`,
      async () => {
        const loaded = await prometheus.rules();
        return loaded.length === wanted.length && loaded.every(({ health }) => health !== 'unknown') && loaded;
      },
      { limitMs: 120_000, everyMs: 500 },
    );
    assert.deepEqual(
      rules.filter(({ health }) => health !== 'ok'),
      [],
    );
  }
  return new Set(wanted);
}

interface Pod {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly containers: readonly { readonly ports?: readonly { name?: string; containerPort: number }[] }[];
  };
  readonly status: { readonly podIP?: string };
}

/** As the shipped monitors find them: each pod of operator and relays once, at the one port that has its metrics, and nothing else. */
async function everyPodIsUp(cluster: PoweredCluster, prometheus: Prometheus): Promise<void> {
  const count = relays.reduce((sum, relay) => sum + replicasOf(relay), operatorPods);
  await waitUntil(
    `${count} pods to be up, and nothing else`,
    async () => {
      const { items } = await cluster.read<{ items: Pod[] }>(pods, {}, 'app.kubernetes.io/name=postroad');
      const expected = items.map(({ metadata, spec, status }) => {
        const ports = spec.containers.flatMap(container => container.ports ?? []);
        return `${metadata.name} ${status.podIP}:${ports.find(({ name }) => name === 'http')?.containerPort}`;
      });
      const targets = await prometheus.targets();
      const found = targets.map(({ labels, health }) => `${labels['pod']} ${labels['instance']} ${health}`);
      return (
        items.length === count &&
        found.toSorted().join() ===
          expected
            .map(each => `${each} up`)
            .toSorted()
            .join()
      );
    },
    { limitMs: 120_000, everyMs: 500 },
  );
}

/** What still fires when nothing changes any more: the start of pods is no fault. */
async function standsStill(watch: AlertWatch): Promise<ReadonlySet<string>> {
  await waitUntil('alerts of the start to resolve', () => watch.hasLooked && watch.firing.size === 0, {
    limitMs: 120_000,
  });
  return watch.firing;
}

/** What went wrong with its queries. A pod that has just started has been scraped once, and a rate needs two. */
async function emptyQueries(
  cluster: PoweredCluster,
  prometheus: Prometheus,
  t: TestContext,
): Promise<readonly unknown[]> {
  const where = [`${release}-dashboard`, '-n', releaseNamespace];
  const { data } = await cluster.get<{ data: Record<string, string> }>('configmap', ...where);
  const queries = await dashboardQueries(data['postroad.json'] ?? '', prometheus);
  const waited = await Promise.allSettled(
    queries.map(({ panel, expression }) =>
      waitUntil(`data of ${panel}: ${expression}`, async () => hasData(await prometheus.query(expression)), {
        limitMs: 90_000,
        everyMs: 1000,
      }),
    ),
  );
  const empty = waited.flatMap(each => (each.status === 'rejected' ? [each.reason] : []));
  say(t, `dashboard: ${queries.length - empty.length} of ${queries.length} queries have data`);
  return empty;
}
