/**
 * The next hop is away for five minutes, and clients go on sending: the backlog grows, and is worked off when it comes back. At a fraction
 * of the other journeys' load: five minutes are long enough for something else to run beside it.
 */
import assert from 'node:assert/strict';
import { waitUntil } from '../../support/wait-until.ts';
import { journey } from '../journey.ts';
import { LoadedRelay } from '../loaded-relay.ts';
import { assertNothingLost } from '../outcome.ts';

const deadMs = 300_000;
const rate = 30;
const limitMs = 11 * 60_000;

journey(
  'a relay whose next hop is dead keeps what it takes, and delivers it all when the next hop is back',
  async (cluster, t) => {
    await using relay = await LoadedRelay.start(cluster, t, { rate });
    // What was under way to it may come twice.
    await relay.killing(() => relay.sink.leave());
    const goneMs = performance.now();
    const received = await relay.sink.received();
    await relay.flows(1000);
    await waitUntil('five minutes', () => performance.now() - goneMs > deadMs, { limitMs: 2 * deadMs, everyMs: 250 });
    assert.equal(await relay.sink.received(), received);
    const waiting = await relay.queuedInAll();
    assert.ok(waiting > (0.8 * rate * deadMs) / 1000, `${waiting} recipients wait`);
    await relay.sink.return();
    const backMs = performance.now();
    await waitUntil('the backlog to be worked off', async () => (await relay.sink.received()) >= received + waiting, {
      limitMs: 180_000,
      everyMs: 250,
    });
    t.diagnostic(
      `${waiting} recipients waited, and were delivered ${((performance.now() - backMs) / 1000).toFixed(1)} s after it came back`,
    );
    const outcome = await relay.outcome();
    assert.equal(outcome.refused, 0);
    assertNothingLost(t, outcome);
  },
  limitMs,
);
