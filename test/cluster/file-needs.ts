/** What the test files here need, by themselves on a quiet machine: which goes first, and what goes beside what. */
import { allCores, type Need, type Needs } from '../setup/schedule.ts';

/** Clusters at a time. A third costs less than half a core; a fourth would have to wait for the journeys under load anyhow. */
export const mostClusters = 3;

/** 200 messages a second are claimed of each: there is no room for a second one, and for two others beside it. */
function underLoad(seconds: number): Need {
  return { seconds, cores: 1.15 };
}

function other(seconds: number): Need {
  return { seconds, cores: 0.5 };
}

export const fileNeeds: Needs = {
  'test/cluster/image/product.test.ts': other(30),
  // A dozen pods of relays start at once, and Prometheus looks at all every two seconds: beside it no other reaches its 200 messages a second.
  'test/cluster/journeys/alerts-fire.test.ts': underLoad(270),
  'test/cluster/journeys/certificates-and-keys-rotate.test.ts': underLoad(76),
  'test/cluster/journeys/chart-is-upgraded.test.ts': underLoad(65),
  'test/cluster/journeys/clients.test.ts': other(83),
  'test/cluster/journeys/container-is-killed.test.ts': underLoad(50),
  // It measures, at a rate that its 20 clients did not reach beside two other clusters.
  'test/cluster/journeys/cost.test.ts': { seconds: 90, cores: allCores },
  'test/cluster/journeys/disk-is-full.test.ts': underLoad(40),
  'test/cluster/journeys/dns-is-dead.test.ts': underLoad(94),
  'test/cluster/journeys/fenced.test.ts': other(41),
  'test/cluster/journeys/five-minute-start.test.ts': other(67),
  // Under a load of its own, which is a fifth of what the others have.
  'test/cluster/journeys/next-hop-is-dead.test.ts': other(370),
  'test/cluster/journeys/node-reboots.test.ts': underLoad(38),
  'test/cluster/journeys/outside-world.test.ts': other(110),
  'test/cluster/journeys/pod-is-deleted.test.ts': underLoad(47),
  'test/cluster/journeys/relay-rolls.test.ts': underLoad(50),
  'test/cluster/journeys/relay-scales.test.ts': underLoad(53),
  'test/cluster/journeys/uninstall.test.ts': other(160),
  'test/cluster/teardown.test.ts': other(110),
};
