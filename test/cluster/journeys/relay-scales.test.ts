/** 1 -> 3 -> 1 under load. The pods that go deliver what they hold to the end, and nothing of them is left, nor of what they took. */
import assert from 'node:assert/strict';
import { wellBehaved } from '../../support/counting-sink.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { journey } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { isReady, LoadedRelay } from '../loaded-relay.ts';
import { assertNothingLost } from '../outcome.ts';

const leaving = ['outbound-relay-1', 'outbound-relay-2'];

journey('a relay that is scaled up and down under load strands and loses nothing', async (cluster, t) => {
  await using relay = await LoadedRelay.start(cluster, t, { replicas: 1 });

  await scale(3);
  await relay.whole();
  await waitUntil(
    'the new pods to hold mail',
    async () => {
      // All that comes now stays for a while.
      await relay.sink.behave({ ...wellBehaved, defer: 1 });
      const queued = await relay.queued();
      return leaving.every(name => (queued.get(name) ?? 0) > 100);
    },
    { limitMs: 60_000, everyMs: 250 },
  );

  await scale(1);
  await waitUntil(
    'the leaving pods to be out of the Service',
    async () => {
      const pods = (await relay.pods()).filter(({ metadata }) => leaving.includes(metadata.name));
      return pods.length === 2 && pods.every(({ metadata }) => metadata.labels?.['postroad.dev/serving'] === 'false');
    },
    { limitMs: 60_000, everyMs: 250 },
  );
  const before = await relay.queued();
  t.diagnostic(
    `recipients in the queues when scaled down: ${[...before].map(([name, count]) => `${name} ${count}`).join(', ')}`,
  );
  assert.ok(leaving.every(name => (before.get(name) ?? 0) > 0));
  await relay.sink.behave(wellBehaved);

  await waitUntil(
    'the leaving pods and their volumes to be gone',
    async () => {
      const claims = await cluster.kubectl.must(['get', 'pvc', '-n', namespace, '-o', 'name']);
      const pods = await relay.pods();
      return (
        claims.trim() === 'persistentvolumeclaim/queue-outbound-relay-0' && pods.length === 1 && pods.every(isReady)
      );
    },
    { limitMs: 120_000, everyMs: 250 },
  );
  await relay.whole();
  await relay.flows(250);
  assertNothingLost(t, await relay.outcome());

  async function scale(replicas: number): Promise<void> {
    await cluster.kubectl.must(['scale', 'mailrelay', 'outbound', '-n', namespace, `--replicas=${replicas}`]);
  }
});
