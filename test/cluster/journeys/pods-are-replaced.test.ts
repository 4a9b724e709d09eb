/**
 * What is replaced on purpose while clients send over TLS (port 587): a pod is deleted as `kubectl drain` does, something about the pods is changed, and
 * `helm upgrade` brings values that concern the operator's pods and the relays'. Each pod lets its clients and deliveries end first.
 */
import assert from 'node:assert/strict';
import { releaseNamespace } from '../cluster.ts';
import { journey } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { LoadedRelay } from '../loaded-relay.ts';
import { assertNothingLost } from '../outcome.ts';

journey(
  'a relay whose pods are deleted, rolled and upgraded under load loses and repeats no message',
  async (cluster, t) => {
    const { kubectl } = cluster;
    await using relay = await LoadedRelay.start(cluster, t, { port: 587 });

    /** Until others run in their place. */
    async function replace(what: string, begin: () => Promise<unknown>, names?: readonly string[]): Promise<void> {
      const before = await relay.containers();
      await begin();
      await relay.renewed(before, names);
      await relay.flows(500);
      relay.tell(what);
    }

    const first = 'outbound-relay-0';
    await replace('a pod deleted', () => kubectl.must(['delete', 'pod', first, '-n', namespace, '--wait=false']), [
      first,
    ]);
    const patch = JSON.stringify({ spec: { template: { annotations: { 'example.com/rolled': 'once' } } } });
    await replace('all pods rolled', () =>
      kubectl.must(['patch', 'mailrelay', 'outbound', '-n', namespace, '--type=merge', '--patch', patch]),
    );
    const operator = await operatorPods();
    await replace('the chart upgraded', () =>
      cluster.installChart({ 'operator.replicas': '2', 'operator.logLevel': 'debug', 'relays.logLevel': 'debug' }),
    );
    assert.deepEqual(
      (await operatorPods()).filter(name => operator.includes(name)),
      [],
    );
    assertNothingLost(t, await relay.outcome());

    async function operatorPods(): Promise<readonly string[]> {
      const component = 'app.kubernetes.io/component=operator';
      return (await kubectl.must(['get', 'pods', '-n', releaseNamespace, '-l', component, '-o', 'name'])).split('\n');
    }
  },
);
