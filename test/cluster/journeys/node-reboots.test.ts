/** The node loses its power: every pod dies at once, and all that kubelet and kube-proxy knew. Clients find the relay again by its Service. */
import { nodeJourney } from '../journey.ts';
import { assertNothingLost, LoadedRelay } from '../loaded-relay.ts';

nodeJourney('a relay whose node is booted anew under load loses nothing that it acknowledged', async (cluster, t) => {
  await using relay = await LoadedRelay.start(cluster, t);
  const before = await relay.containers();
  await relay.killing(() => cluster.node.reboot());
  await relay.renewed(before);
  await relay.flows(500);
  assertNothingLost(t, await relay.outcome());
});
