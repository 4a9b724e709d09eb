/** The volume of one of two pods has no room left: its clients are told to try again, the other pod goes on, and with room it takes mail again. */
import assert from 'node:assert/strict';
import { metric } from '../../support/relay-process.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { nodeJourney } from '../journey.ts';
import { namespace } from '../loaded-objects.ts';
import { isReady, LoadedRelay } from '../loaded-relay.ts';
import { assertNothingLost } from '../outcome.ts';
import { makeDisks, storageClass } from '../outside/small-disk.ts';

const full = 'outbound-relay-0';

nodeJourney('a relay whose disk is full says so at once, loses nothing, and recovers by itself', async (cluster, t) => {
  await using disks = await makeDisks(cluster, namespace, { [`queue-${full}`]: 128, 'queue-outbound-relay-1': 512 });
  const queue = { type: 'Volume', volume: { size: '1Gi', storageClassName: storageClass } };
  await using relay = await LoadedRelay.start(cluster, t, { spec: { queue, limits: { minFreeDisk: '16Mi' } } });

  await disks.fill(`queue-${full}`);
  await waitUntil('the pod to leave the Service', async () => !(await isFullReady()), {
    limitMs: 60_000,
    everyMs: 250,
  });
  await relay.flows(500);
  const before = await taken();
  await disks.clear(`queue-${full}`);
  await relay.whole();
  await waitUntil('it takes mail again', async () => (await taken()) > before + 100, { limitMs: 60_000, everyMs: 250 });

  const outcome = await relay.outcome();
  const refusals = relay.load.sent.flatMap(({ result }) => (result.outcome === 'refused' ? [result.reply] : []));
  const codes = [...Map.groupBy(refusals, reply => reply.slice(0, 9))].map(([code, of]) => `${code}: ${of.length}`);
  t.diagnostic(`refused with ${codes.join(', ')}`);
  assert.ok(refusals.length > 0);
  assert.deepEqual(
    refusals.filter(reply => !/^4(21|51|52) /.test(reply)),
    [],
  );
  assertNothingLost(t, outcome);

  async function isFullReady(): Promise<boolean> {
    return (await relay.pods()).some(pod => pod.metadata.name === full && isReady(pod));
  }

  async function taken(): Promise<number> {
    const metrics = (await relay.metrics()).get(full);
    return metrics === undefined ? 0 : metric(metrics, 'postroad_queue_accepted_recipients_total');
  }
});
