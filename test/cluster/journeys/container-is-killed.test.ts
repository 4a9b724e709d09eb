/** SIGKILL for the process of one relay, then of both at once, while clients send: what they were told was taken is delivered. */
import { nodeJourney } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { assertNothingLost, LoadedRelay } from '../loaded-relay.ts';

nodeJourney('a relay whose processes are killed under load loses nothing that it acknowledged', async (cluster, t) => {
  await using relay = await LoadedRelay.start(cluster, t);

  async function killContainers(names: readonly string[]): Promise<void> {
    const before = await relay.containers();
    await relay.killing(async () => {
      await Promise.all(names.map(name => cluster.node.killContainer(namespace, name)));
    });
    await relay.renewed(before, names);
    await relay.flows(500);
  }

  await killContainers(['outbound-relay-0']);
  await killContainers(['outbound-relay-0', 'outbound-relay-1']);
  assertNothingLost(t, await relay.outcome());
});
