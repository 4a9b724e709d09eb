/**
 * Three pods share a queue in one Redis. Each kind of end while clients send, that of Redis among them, and of the node with all of it: what they
 * were told was taken is in its append-only file, and delivered.
 */
import { wellBehaved } from '../../support/counting-sink.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { nodeJourney } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { LoadedRelay } from '../loaded-relay.ts';
import { assertNothingLost } from '../outcome.ts';
import { startSharedRedis } from '../shared-redis.ts';

nodeJourney(
  'a relay on Redis loses nothing when pods are killed, deleted, scaled and rolled, and Redis and the node die, under load',
  async (cluster, t) => {
    const redis = await startSharedRedis(cluster);
    const objects = [redis.secretIn(namespace)];
    await using relay = await LoadedRelay.start(cluster, t, { replicas: 3, spec: { queue: redis.queue }, objects });

    const first = await relay.containers();
    const [killed = '', deleted = ''] = first.keys();
    await relay.killing(() => cluster.node.killContainer(namespace, killed));
    await relay.renewed(first, [killed]);
    await relay.flows(500);
    relay.tell('a container killed');

    await cluster.kubectl.must(['delete', 'pod', deleted, '-n', namespace, '--wait=false']);
    await relay.replaced([deleted]);
    await relay.flows(500);
    relay.tell('a pod deleted');

    for (const replicas of [1, 3]) {
      await cluster.kubectl.must(['scale', 'mailrelay', 'outbound', '-n', namespace, `--replicas=${replicas}`]);
      await relay.whole();
      await relay.flows(500);
      relay.tell(`scaled to ${replicas}`);
    }

    const old = await relay.containers();
    const patch = JSON.stringify({ spec: { template: { annotations: { 'example.com/rolled': 'once' } } } });
    await cluster.kubectl.must(['patch', 'mailrelay', 'outbound', '-n', namespace, '--type=merge', '--patch', patch]);
    await relay.replaced(old.keys());
    await relay.flows(500);
    relay.tell('all pods rolled');

    const waiting = await waitUntil(
      'mail to wait in Redis',
      async () => {
        // All that comes now stays for a second or more.
        await relay.sink.behave({ ...wellBehaved, defer: 1 });
        // Each pod tells of the whole queue.
        const queued = Math.min(...(await relay.queued()).values());
        return queued > 250 && queued;
      },
      { limitMs: 60_000, everyMs: 250 },
    );
    await relay.killing(async () => {
      await redis.killPod();
      await relay.sink.behave(wellBehaved);
      await relay.flows(1);
    }, 'StoreAway');
    await relay.whole();
    await relay.flows(500);
    relay.tell(`Redis' pod killed with ${waiting} recipients in its queue`);

    const before = await relay.containers();
    await relay.killing(() => cluster.node.reboot());
    await relay.renewed(before);
    await relay.flows(500);
    relay.tell('the node booted anew, with Redis on it');

    assertNothingLost(t, await relay.outcome());
    await redis.assertNoMailStays();
  },
);
