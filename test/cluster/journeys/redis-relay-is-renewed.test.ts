/**
 * Three pods share a queue in one Redis. They are replaced one at a time, and then the node loses its power, and with it all of them and Redis:
 * what clients were told was taken is in its append-only file.
 */
import { nodeJourney } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { assertNothingLost, LoadedRelay } from '../loaded-relay.ts';
import { startSharedRedis } from '../shared-redis.ts';

nodeJourney(
  'a relay on Redis loses nothing when its pods roll, and the node boots anew with Redis on it, under load',
  async (cluster, t) => {
    const redis = await startSharedRedis(cluster);
    const objects = [redis.secretIn(namespace)];
    await using relay = await LoadedRelay.start(cluster, t, { replicas: 3, spec: { queue: redis.queue }, objects });

    const old = await relay.containers();
    const patch = JSON.stringify({ spec: { template: { annotations: { 'example.com/rolled': 'once' } } } });
    await cluster.kubectl.must(['patch', 'mailrelay', 'outbound', '-n', namespace, '--type=merge', '--patch', patch]);
    await relay.replaced(old.keys());
    await relay.flows(500);
    t.diagnostic(`rolled, after ${relay.load.accepted()} messages`);

    const before = await relay.containers();
    await relay.killing(() => cluster.node.reboot());
    await relay.renewed(before);
    await relay.flows(500);
    t.diagnostic(`the node is back, after ${relay.load.accepted()} messages`);

    assertNothingLost(t, await relay.outcome());
    await redis.assertNoMailStays();
  },
);
