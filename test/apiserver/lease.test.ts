import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { createClient } from '../../operator/kube/client.ts';
import { createElector, type Elector, type Leadership } from '../../operator/kube/lease.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { createUptime } from '../../operator/kube/uptime.ts';
import { systemClock } from '../../relay/clock.ts';
import { KeptMetrics, quiet } from '../operator/kube/fakes.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, startWorld } from './api-world.ts';

let world: ApiWorld;

before(async () => {
  world = await startWorld();
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

const leases: Resource = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases', isNamespaced: true };
const timing = { durationMs: 3000, renewDeadlineMs: 2000, retryMs: 300 };

interface Candidate {
  readonly elector: Elector;
  readonly terms: Leadership[];
  stop(): Promise<void>;
}

function start(t: TestContext, name: string, identity: string): Candidate {
  const metrics = new KeptMetrics();
  const client = createClient({ connection: world.server.admin, clock: systemClock, metrics });
  const elector = createElector({
    ...{ client, clock: systemClock, uptime: createUptime(), random: Math.random, log: quiet, metrics },
    ...{ namespace: 'mail', name, identity, timing },
  });
  const terms: Leadership[] = [];
  const stopping = new AbortController();
  const running = elector.run(async leadership => {
    terms.push(leadership);
    await new Promise<void>(resolve => {
      leadership.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }, stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort(new Error('stopped'));
    await running;
    client.close();
  };
  t.after(stop);
  return { elector, terms, stop };
}

async function leaderOf(candidates: readonly Candidate[]): Promise<Candidate> {
  return await waitUntil('a leader', () => candidates.find(({ elector }) => elector.isLeading), { limitMs: 30_000 });
}

test('of three one leads; when it stops another does at once, and the Lease says who', async t => {
  let candidates = ['a', 'b', 'c'].map(identity => start(t, 'takeover', identity));
  for (let i = 0; i < 3; i++) {
    const leader = await leaderOf(candidates);
    assert.equal(candidates.filter(({ elector }) => elector.isLeading).length, 1);
    const lease = await world.get<KubeObject & { spec: { holderIdentity: string; leaseTransitions: number } }>(leases, {
      namespace: 'mail',
      name: 'takeover',
    });
    assert.equal(lease.spec.holderIdentity, leader.elector.leader);
    assert.equal(lease.spec.leaseTransitions, i);
    candidates = candidates.filter(candidate => candidate !== leader);
    await leader.stop();
    if (candidates.length === 0) break;
    const startMs = performance.now();
    await leaderOf(candidates);
    const tookMs = performance.now() - startMs;
    t.diagnostic(`the next led ${tookMs.toFixed(0)} ms after the lease was given back`);
    assert.ok(tookMs < timing.durationMs, 'sooner than a lease runs out');
  }
});

test('an API server that is away ends the leadership in time; when it is back, one leads again', async t => {
  const candidates = ['a', 'b'].map(identity => start(t, 'outage', identity));
  const leader = await leaderOf(candidates);
  await world.server.stopServer();
  const downMs = performance.now();
  await waitUntil('the end of the term', () => leader.terms[0]?.signal.aborted === true);
  const tookMs = performance.now() - downMs;
  assert.ok(tookMs <= timing.renewDeadlineMs + 300, `${tookMs} ms`);
  assert.match(String(leader.terms[0]?.signal.reason), /LeaseLostError/);
  const upMs = performance.now();
  await world.server.startServer();
  await leaderOf(candidates);
  t.diagnostic(`led again ${(performance.now() - upMs).toFixed(0)} ms after the API server was started again`);
  assert.equal(candidates.filter(({ elector }) => elector.isLeading).length, 1);
});
