import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createElector } from '../../../operator/kube/lease.ts';
import { createUptime } from '../../../operator/kube/uptime.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { KeptMetrics, quiet } from './fakes.ts';
import { LeaseServer, type Operator, startOperator, timing } from './lease-world.ts';

interface World {
  readonly base: FakeClock;
  readonly server: LeaseServer;
  start(identity: string): Operator;
}

function setUp(t: TestContext): World {
  const base = new FakeClock();
  const server = new LeaseServer();
  const operators: Operator[] = [];
  t.after(async () => {
    for (const operator of operators) await stop({ base }, operator);
  });
  return {
    base,
    server,
    start(identity) {
      const operator = startOperator({ base, server, identity });
      operators.push(operator);
      return operator;
    },
  };
}

async function stop({ base }: Pick<World, 'base'>, operator: Operator): Promise<void> {
  operator.pausedUntilMs = 0;
  operator.network = 'none';
  let isStopped = false;
  const stopped = operator.stop().finally(() => {
    isStopped = true;
  });
  while (!isStopped) await base.advance(10);
  await stopped;
}

/** Milliseconds until it is so, in steps of 10. */
async function advanceUntil({ base }: World, check: () => boolean, limitMs = 120_000): Promise<number> {
  const startMs = base.now();
  while (!check()) {
    assert.ok(base.now() - startMs < limitMs, `waited ${limitMs} ms in vain`);
    await base.advance(10);
  }
  return base.now() - startMs;
}

test('one of two leads, and keeps leading while it renews', async t => {
  const world = setUp(t);
  const [a, b] = [world.start('a'), world.start('b')];
  await advanceUntil(world, () => a.elector.isLeading || b.elector.isLeading);
  const [leader, other] = a.elector.isLeading ? [a, b] : [b, a];
  for (let i = 0; i < 300; i++) {
    await world.base.advance(1000);
    assert.deepEqual([leader.elector.isLeading, other.elector.isLeading], [true, false]);
  }
  assert.equal(leader.terms.length, 1);
  assert.equal(world.server.lease?.spec?.leaseTransitions, 0);
  assert.equal(other.elector.leader, leader === a ? 'a' : 'b');
  assert.equal(leader.metrics.get('postroad_operator_leader'), 1);
});

test('a leader that stops gives the lease back once its work has ended, and the other leads within its retry', async t => {
  const world = setUp(t);
  const a = world.start('a');
  await advanceUntil(world, () => a.elector.isLeading);
  const b = world.start('b');
  a.workEndMs = 1500;
  await world.base.advance(5000);
  const stopped = a.stop();
  await world.base.advance(1400);
  assert.equal(world.server.lease?.spec?.holderIdentity, 'a', 'not before its work has ended');
  const tookMs = await advanceUntil(world, () => b.elector.isLeading);
  await stopped;
  assert.ok(tookMs <= 3000, `${tookMs} ms`);
  assert.equal(a.metrics.get('postroad_operator_lease_losses_total'), 0);
});

test('a leader that dies is followed when its lease has run out, not before', async t => {
  const world = setUp(t);
  const a = world.start('a');
  await advanceUntil(world, () => a.elector.isLeading);
  const b = world.start('b');
  await world.base.advance(10_000);
  a.pausedUntilMs = Number.MAX_SAFE_INTEGER;
  const tookMs = await advanceUntil(world, () => b.elector.isLeading);
  assert.ok(
    tookMs >= timing.durationMs - timing.retryMs && tookMs <= timing.durationMs + 3 * timing.retryMs,
    `${tookMs} ms`,
  );
});

for (const fault of ['refused', 'requestLost', 'answerLost'] as const) {
  test(`a leader that cannot renew (${fault}) abandons its work by the renew deadline, and leads again when it can`, async t => {
    const world = setUp(t);
    const a = world.start('a');
    await advanceUntil(world, () => a.elector.isLeading);
    await world.base.advance(timing.retryMs);
    a.network = fault;
    const tookMs = await advanceUntil(world, () => a.terms[0]?.signal.aborted === true);
    assert.ok(tookMs <= timing.renewDeadlineMs, `${tookMs} ms`);
    assert.equal(a.elector.isLeading, false);
    assert.match(String(a.terms[0]?.signal.reason), /LeaseLostError/);
    assert.throws(() => a.terms[0]?.assertHeld(), /LeaseLostError/);
    assert.equal(a.metrics.get('postroad_operator_lease_losses_total'), 1);
    assert.equal(a.metrics.get('postroad_operator_leader'), 0);
    a.network = 'none';
    await advanceUntil(world, () => a.terms.length === 2);
    a.terms[1]?.assertHeld();
  });
}

test('an API server that is away for less than the renew deadline costs nothing', async t => {
  const world = setUp(t);
  const a = world.start('a');
  await advanceUntil(world, () => a.elector.isLeading);
  a.network = 'refused';
  await world.base.advance(timing.renewDeadlineMs - timing.retryMs - 500);
  a.network = 'none';
  await world.base.advance(60_000);
  assert.equal(a.terms.length, 1);
  assert.equal(a.elector.isLeading, true);
});

test('a process that stood still finds out before it writes, though no timer has run yet', async t => {
  const world = setUp(t);
  const a = world.start('a');
  await advanceUntil(world, () => a.elector.isLeading);
  a.terms[0]?.assertHeld();
  a.pausedUntilMs = world.base.now() + 11_000;
  await world.base.advance(10_900);
  assert.equal(a.terms[0]?.signal.aborted, false, 'nothing of it has run');
  assert.throws(() => a.terms[0]?.assertHeld(), /LeaseLostError/);
});

test('a machine that slept (its steady clock stood still, its wall clock did not) no longer leads', async t => {
  const world = setUp(t);
  const a = world.start('a');
  await advanceUntil(world, () => a.elector.isLeading);
  a.wallOffsetMs = 3_600_000;
  assert.equal(a.elector.isLeading, false);
  await advanceUntil(world, () => a.terms.length === 2);
});

test('a candidate whose wall clock is far off does not take a lease that is renewed', async t => {
  const world = setUp(t);
  const a = world.start('a');
  await advanceUntil(world, () => a.elector.isLeading);
  const b = world.start('b');
  for (const offsetMs of [3_600_000, -3_600_000, 86_400_000]) {
    b.wallOffsetMs = offsetMs;
    await world.base.advance(40_000);
    assert.deepEqual([a.elector.isLeading, b.elector.isLeading], [true, false]);
  }
});

test('a leader whose lease was taken by hand stops at its next renewal', async t => {
  const world = setUp(t);
  const a = world.start('a');
  await advanceUntil(world, () => a.elector.isLeading);
  const { lease } = world.server;
  world.server.handle({ method: 'PUT', body: { ...lease, spec: { holderIdentity: 'somebody' } } });
  const tookMs = await advanceUntil(world, () => a.terms[0]?.signal.aborted === true);
  assert.ok(tookMs <= timing.retryMs + 100, `${tookMs} ms`);
});

test('a lease that is deleted is made anew, and the leader goes on', async t => {
  const world = setUp(t);
  const a = world.start('a');
  await advanceUntil(world, () => a.elector.isLeading);
  world.server.lease = undefined;
  await world.base.advance(30_000);
  assert.equal(a.elector.isLeading, true);
  assert.notEqual(world.server.lease, undefined);
});

test('work that ends by itself ends the election and gives the lease back; work that fails fails it', async () => {
  for (const fault of [undefined, new Error('a bug')]) {
    const base = new FakeClock();
    const server = new LeaseServer();
    const client = {
      namespace: undefined,
      request: <T>(request: Parameters<LeaseServer['handle']>[0]): Promise<T> =>
        Promise.resolve().then(() => server.handle(request) as T),
      watch: () => Promise.reject(new Error('not watched')),
      close: () => undefined,
    };
    const elector = createElector({
      ...{ client, clock: base, uptime: createUptime(), metrics: new KeptMetrics(), identity: 'a', log: quiet },
      ...{ random: () => 0.5, namespace: 'mail', name: 'operator' },
    });
    const ended = elector.run(async () => {
      if (fault !== undefined) throw fault;
    }, new AbortController().signal);
    if (fault === undefined) await ended;
    else await assert.rejects(ended, /a bug/);
    assert.equal(server.lease?.spec?.holderIdentity, '');
  }
});

test('a timing that would let two lead is refused', () => {
  const common = { namespace: 'mail', name: 'x', identity: 'a' };
  for (const wrong of [
    { durationMs: 10_000, renewDeadlineMs: 10_000, retryMs: 2000 },
    { durationMs: 15_000, renewDeadlineMs: 3000, retryMs: 2000 },
    { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 0 },
  ]) {
    assert.throws(() => createElector({ ...common, timing: wrong } as never), /RangeError: lease/);
  }
});
