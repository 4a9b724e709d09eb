/** `helm upgrade` with values that concern the operator's pods and the relays': the operator is replaced, and rolls the relays. */
import assert from 'node:assert/strict';
import { journey } from '../journey.ts';
import { assertNothingLost, LoadedRelay } from '../loaded-relay.ts';

journey('an upgrade of the chart under load loses and repeats no message', async (cluster, t) => {
  await using relay = await LoadedRelay.start(cluster, t);
  const [operator, before] = [await operatorPods(), await relay.containers()];
  await cluster.installChart({ 'operator.replicas': '2', 'operator.logLevel': 'debug', 'relays.logLevel': 'debug' });
  await relay.renewed(before);
  await relay.flows(500);
  assert.deepEqual(
    (await operatorPods()).filter(name => operator.includes(name)),
    [],
  );
  assertNothingLost(t, await relay.outcome());

  async function operatorPods(): Promise<readonly string[]> {
    const component = 'app.kubernetes.io/component=operator';
    return (await cluster.kubectl.must(['get', 'pods', '-n', 'postroad-system', '-l', component, '-o', 'name'])).split(
      '\n',
    );
  }
});
