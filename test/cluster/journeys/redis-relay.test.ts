/** Three pods share a queue in one Redis. Each kind of end, that of Redis among them, while clients send: what they were told was taken is delivered. */
import { wellBehaved } from '../../support/counting-sink.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { nodeJourney } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { assertNothingLost, LoadedRelay } from '../loaded-relay.ts';
import { startSharedRedis } from '../shared-redis.ts';

nodeJourney(
  'a relay on Redis loses nothing when pods are killed, deleted and scaled, and Redis dies, under load',
  async (cluster, t) => {
    const redis = await startSharedRedis(cluster);
    const objects = [redis.secretIn(namespace)];
    await using relay = await LoadedRelay.start(cluster, t, { replicas: 3, spec: { queue: redis.queue }, objects });
    const startedMs = performance.now();
    const say = (what: string): void =>
      t.diagnostic(`after ${((performance.now() - startedMs) / 1000).toFixed(0)} s of load: ${what}`);

    const before = await relay.containers();
    const [killed = '', deleted = ''] = before.keys();
    await relay.killing(() => cluster.node.killContainer(namespace, killed));
    await relay.renewed(before, [killed]);
    await relay.flows(500);
    say('a container was killed, and is back');

    await cluster.kubectl.must(['delete', 'pod', deleted, '-n', namespace, '--wait=false']);
    await relay.replaced([deleted]);
    await relay.flows(500);
    say('a pod was deleted, and another has come');

    for (const replicas of [1, 3]) {
      await cluster.kubectl.must(['scale', 'mailrelay', 'outbound', '-n', namespace, `--replicas=${replicas}`]);
      await relay.whole();
      await relay.flows(500);
      say(`scaled to ${replicas}`);
    }

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
    say(`Redis' pod was killed with ${waiting} recipients in its queue, and another has come`);

    assertNothingLost(t, await relay.outcome());
    await redis.assertNoMailStays();
  },
);
