/**
 * What dies without a word while clients send over TLS (port 465): the process of one relay, those of both at once, a pod that is deleted by force, and
 * the node, with every pod and all that kubelet and kube-proxy knew. What clients were told was taken is delivered.
 */
import { nodeJourney } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { LoadedRelay } from '../loaded-relay.ts';
import { assertNothingLost } from '../outcome.ts';

const both = ['outbound-relay-0', 'outbound-relay-1'];

nodeJourney('a relay whose pods and node die under load loses nothing that it acknowledged', async (cluster, t) => {
  await using relay = await LoadedRelay.start(cluster, t, { port: 465 });

  /** Until others run in their place. */
  async function die(what: string, names: readonly string[], kill: () => Promise<unknown>): Promise<void> {
    const before = await relay.containers();
    await relay.killing(async () => void (await kill()));
    await relay.renewed(before, names);
    await relay.flows(500);
    relay.tell(what);
  }

  async function killContainers(names: readonly string[]): Promise<void> {
    await Promise.all(names.map(name => cluster.node.killContainer(namespace, name)));
  }

  await die('a process killed', both.slice(0, 1), () => killContainers(both.slice(0, 1)));
  await die('both processes killed', both, () => killContainers(both));
  const force = ['--force', '--grace-period=0', '--wait=false'];
  await die('a pod deleted by force', both.slice(1), () =>
    cluster.kubectl.must(['delete', 'pod', 'outbound-relay-1', '-n', namespace, ...force]),
  );
  await die('the node booted anew', both, () => cluster.node.reboot());

  assertNothingLost(t, await relay.outcome());
});
