/** A pod is deleted as `kubectl drain` does, another by force, while clients send: what they were told was taken is delivered. */
import { journey } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { assertNothingLost, LoadedRelay } from '../loaded-relay.ts';

journey('a relay whose pods are deleted under load loses nothing that it acknowledged', async (cluster, t) => {
  await using relay = await LoadedRelay.start(cluster, t, { port: 465 });

  const first = await relay.containers();
  await cluster.kubectl.must(['delete', 'pod', 'outbound-relay-0', '-n', namespace, '--wait=false']);
  await relay.renewed(first, ['outbound-relay-0']);
  await relay.flows(500);

  const second = await relay.containers();
  await relay.killing(async () => {
    const force = ['--force', '--grace-period=0', '--wait=false'];
    await cluster.kubectl.must(['delete', 'pod', 'outbound-relay-1', '-n', namespace, ...force]);
    await relay.renewed(second, ['outbound-relay-1']);
  });
  await relay.flows(500);

  assertNothingLost(t, await relay.outcome());
});
