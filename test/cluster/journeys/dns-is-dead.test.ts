/**
 * The servers of everybody's domains say nothing for a minute, while clients go on sending: mail waits, nothing bounces, and all of it goes when they
 * answer again. Each message is for one of many domains, so that no answer from before helps. At less than the other journeys' load: a minute is
 * long enough for something else to run beside it.
 */
import assert from 'node:assert/strict';
import { waitUntil } from '../../support/wait-until.ts';
import { journey } from '../journey.ts';
import { sinkAddress } from '../loaded-objects.ts';
import { LoadedRelay } from '../loaded-relay.ts';
import { assertNothingLost } from '../outcome.ts';
import { startInternet } from '../outside/internet.ts';

const deadMs = 60_000;
const rate = 100;
const domains = Array.from({ length: 15_000 }, (_, index) => `d${index}.next.example`);

journey(
  'a relay without DNS keeps what it takes, and delivers it all when names are answered again',
  async (cluster, t) => {
    await using internet = await startInternet();
    await internet.serve('next.example', ['* MX 10 mx.next.example.', `mx A ${sinkAddress}`]);
    await using relay = await LoadedRelay.start(cluster, t, { rate, domains, spec: { route: { type: 'Direct' } } });
    internet.dns.pause();
    const goneMs = performance.now();
    await relay.flows(1000);
    await waitUntil('a minute', () => performance.now() - goneMs > deadMs, { limitMs: 2 * deadMs, everyMs: 100 });
    const [received, waiting] = [await relay.sink.received(), await relay.queuedInAll()];
    assert.ok(waiting > 1000, `${waiting} recipients wait`);
    internet.dns.resume();
    const backMs = performance.now();
    await waitUntil('the backlog to be worked off', async () => (await relay.sink.received()) >= received + waiting, {
      limitMs: 180_000,
      everyMs: 250,
    });
    t.diagnostic(
      `${waiting} recipients waited, and were delivered ${((performance.now() - backMs) / 1000).toFixed(1)} s after names were answered again`,
    );
    const outcome = await relay.outcome();
    assert.equal(outcome.bounced, 0);
    assert.equal(outcome.refused, 0);
    assertNothingLost(t, outcome);
  },
);
