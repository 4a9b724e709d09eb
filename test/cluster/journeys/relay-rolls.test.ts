/** Something about the pods is changed: they are replaced one at a time, and each lets its clients and deliveries end first. */
import { journey } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { assertNothingLost, LoadedRelay } from '../loaded-relay.ts';

journey('a relay whose pods are changed under load rolls without losing or repeating a message', async (cluster, t) => {
  await using relay = await LoadedRelay.start(cluster, t, { port: 587 });
  const before = await relay.containers();
  const patch = JSON.stringify({ spec: { template: { annotations: { 'example.com/rolled': 'once' } } } });
  await cluster.kubectl.must(['patch', 'mailrelay', 'outbound', '-n', namespace, '--type=merge', '--patch', patch]);
  await relay.renewed(before);
  await relay.flows(500);
  assertNothingLost(t, await relay.outcome());
});
