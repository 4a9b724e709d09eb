/** What the test files here need, by themselves on a quiet machine: which goes first, and what goes beside what. */
import type { Need, Needs } from '../setup/schedule.ts';

/** Clusters at a time. A third costs less than half a core; a fourth would have to wait for the journeys under load anyhow. */
export const mostClusters = 3;

/** 200 messages a second are claimed of each, for half of its time: there is no room for a second one, and for two others beside it. */
function underLoad(seconds: number): Need {
  return { seconds, cores: 1, alone: ['load'] };
}

/** New pods all the time, or a short load: the start of the alerts' relays would be most of what it meets. */
function notBesideAlerts(seconds: number): Need {
  return { ...underLoad(seconds), alone: ['load', 'alerts'] };
}

function other(seconds: number): Need {
  return { seconds, cores: 0.44 };
}

/** Its figures are those of docs/how-to/sizing.md. The first of all: the backlog of the next hop that is dead is worked off minutes later. */
const cost: Need = { ...notBesideAlerts(105), cores: 1.35 };

export const fileNeeds: Needs = {
  'test/cluster/image/product.test.ts': other(60),
  // Not beside what measures.
  'test/cluster/journeys/alerts-fire.test.ts': { seconds: 260, cores: 1, alone: ['alerts'] },
  'test/cluster/journeys/certificates-and-keys-rotate.test.ts': notBesideAlerts(65),
  'test/cluster/journeys/clients.test.ts': other(90),
  'test/cluster/journeys/cost.test.ts': cost,
  'test/cluster/journeys/disk-is-full.test.ts': underLoad(35),
  // As the next hop that is dead: under a load of its own, which is less than what the others have.
  'test/cluster/journeys/dns-is-dead.test.ts': { seconds: 115, cores: 0.6 },
  'test/cluster/journeys/fenced.test.ts': other(55),
  // It says how long a first relay takes: of two others beside it, four seconds are theirs.
  'test/cluster/journeys/five-minute-start.test.ts': { seconds: 45, cores: 1.4 },
  // It waits, and sends little: there is room for it also beside the alerts and what is under load.
  'test/cluster/journeys/next-hop-is-dead.test.ts': { seconds: 345, cores: 0.25 },
  'test/cluster/journeys/outside-world.test.ts': other(95),
  'test/cluster/journeys/pods-are-replaced.test.ts': notBesideAlerts(90),
  'test/cluster/journeys/pods-die.test.ts': underLoad(80),
  'test/cluster/journeys/redis-relay.test.ts': underLoad(125),
  'test/cluster/journeys/relay-grows.test.ts': other(55),
  'test/cluster/journeys/relay-scales.test.ts': underLoad(48),
  'test/cluster/journeys/uninstall.test.ts': other(180),
  // It boots clusters of its own.
  'test/cluster/teardown.test.ts': { seconds: 150, cores: 0.9 },
};
