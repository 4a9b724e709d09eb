import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Suite } from './conformance-suite.ts';
import { deferred, deliver, everything, message, only, paths, to } from './messages.ts';

export function claims(suite: Suite): void {
  describe(`${suite.store}: claim`, () => {
    it('gives what is due, and says when the next will be', async () => {
      assert.equal(await suite.queue.nextDueTimeMs(), undefined);
      await suite.queue.enqueue(message(suite.clock));
      assert.ok(((await suite.queue.nextDueTimeMs()) ?? Number.POSITIVE_INFINITY) <= suite.clock.now());
      const claim = only(await suite.claimed());
      const dueMs = suite.clock.now() + 5000;
      await suite.queue.settle({ claim, outcomes: deferred(claim, dueMs), messages: [] });
      assert.deepEqual(await suite.claimed(), []);
      assert.equal(await suite.queue.nextDueTimeMs(), dueMs);
      suite.clock.advance(4999);
      assert.deepEqual(await suite.claimed(), []);
      suite.clock.advance(1);
      assert.equal(only(await suite.claimed()).dueTimeMs, dueMs);
    });

    it('gives nothing twice', async () => {
      for (let n = 0; n < 20; n += 1) await suite.queue.enqueue(message(suite.clock));
      const claims = await Promise.all([suite.claimed(), suite.claimed(), suite.claimed()]);
      assert.equal(new Set(claims.flat().map(claim => claim.message.id)).size, claims.flat().length);
      assert.equal(claims.flat().length, 20);
    });

    it('keeps the recipients of one message and destination together, also when many tenants share the limit', async () => {
      for (const tenant of ['a', 'b', 'c', 'd']) {
        const recipients = ['1', '2', '3'].map(name => to(`${name}@there.example`));
        await suite.queue.enqueue(message(suite.clock, { tenant, recipients }));
      }
      const claims = await suite.queue.claim({ limit: 100, limitPerDestination: 12, leaseMs: 1000 });
      assert.deepEqual(
        claims.map(claim => claim.recipients.length),
        [3, 3, 3, 3],
      );
    });

    it('never exceeds its limits, in all and by destination', async () => {
      for (const domain of ['one', 'two', 'three']) {
        const recipients = Array.from({ length: 10 }, (_, n) => to(`${n}@${domain}.example`));
        await suite.queue.enqueue(message(suite.clock, { recipients }));
        await suite.queue.enqueue(message(suite.clock, { recipients, tenant: 'other' }));
      }
      const first = await suite.queue.claim({ limit: 1000, limitPerDestination: 7, leaseMs: 1000 });
      const counts = Map.groupBy(
        first.flatMap(claim => claim.recipients),
        recipient => recipient.destination,
      );
      assert.deepEqual(
        [...counts.values()].map(its => its.length),
        [7, 7, 7],
      );
      const second = await suite.queue.claim({ limit: 25, limitPerDestination: 1000, leaseMs: 1000 });
      assert.equal(paths(second).length, 25);
      assert.equal(paths(await suite.claimed()).length, 60 - 21 - 25);
      await suite.conserved();
    });

    it('leaves nothing of a message behind of which a limit let only a part be claimed', async () => {
      const recipients = ['1', '2', '3'].map(name => to(`${name}@there.example`));
      await suite.queue.enqueue(message(suite.clock, { recipients }));
      const claim = only(await suite.claimed());
      const nowMs = suite.clock.now();
      // What fell due last has the first place in its message.
      const outcomes = claim.recipients.map(({ index }) => ({
        ...{ index, result: 'Deferred' as const, reason: 'Test', attempted: true, delayWarned: false },
        nextAttemptTimeMs: nowMs + 3 - index,
      }));
      await suite.queue.settle({ claim, outcomes, messages: [] });
      suite.clock.advance(10);
      const got: string[] = [];
      for (let n = 0; n < 3; n += 1)
        got.push(...paths(await suite.queue.claim({ limit: 1, limitPerDestination: 1, leaseMs: 60_000 })));
      assert.deepEqual(got.toSorted(), ['1@there.example', '2@there.example', '3@there.example']);
    });

    it('lets tenants take turns, so that a flood of one does not hold up another', async () => {
      for (let n = 0; n < 50; n += 1)
        await suite.queue.enqueue(message(suite.clock, { tenant: 'loud', recipients: [to(`u@d${n}.example`)] }));
      await suite.queue.enqueue(message(suite.clock, { tenant: 'quiet', recipients: [to('u@d0.example')] }));
      const tenants = (await suite.queue.claim({ limit: 4, limitPerDestination: 2, leaseMs: 1000 })).map(
        claim => claim.message.tenant,
      );
      assert.ok(tenants.includes('quiet'), tenants.join());
    });

    it('lets the destinations of a tenant take turns', async () => {
      for (let n = 0; n < 50; n += 1)
        await suite.queue.enqueue(message(suite.clock, { recipients: [to('u@busy.example')] }));
      await suite.queue.enqueue(message(suite.clock, { recipients: [to('u@idle.example')] }));
      const claims = await suite.queue.claim({ limit: 10, limitPerDestination: 5, leaseMs: 1000 });
      assert.deepEqual(
        new Set(claims.map(claim => claim.destination)),
        new Set(['direct/busy.example', 'direct/idle.example']),
      );
    });

    it('steps over a suspended destination until its time has come or it is lifted', async () => {
      await suite.queue.enqueue(message(suite.clock, { recipients: [to('u@down.example'), to('u@up.example')] }));
      const untilMs = suite.clock.now() + 60_000;
      await suite.queue.suspend('direct/down.example', untilMs);
      const claim = only(await suite.claimed());
      assert.equal(claim.destination, 'direct/up.example');
      await deliver(suite.queue, claim);
      assert.equal(await suite.queue.nextDueTimeMs(), untilMs);
      await suite.queue.suspend('direct/down.example', 0);
      assert.ok(((await suite.queue.nextDueTimeMs()) ?? Number.POSITIVE_INFINITY) <= suite.clock.now());
      await suite.queue.suspend('direct/down.example', untilMs);
      assert.deepEqual(await suite.claimed(), []);
      suite.clock.advance(60_000);
      assert.equal(only(await suite.claimed()).destination, 'direct/down.example');
    });
  });

  describe(`${suite.store}: leases`, () => {
    it('end by time: the recipients wait again, and the old token is refused', async () => {
      await suite.queue.enqueue(message(suite.clock));
      const leasing = [
        () => suite.queue.claim({ ...everything, leaseMs: 1000 }),
        () => suite.queue.enqueue(message(suite.clock), { leaseMs: 1000 }),
      ];
      for (const lease of leasing) {
        const claim = only(await lease());
        suite.clock.advance(1000);
        const again = (await suite.claimed()).find(({ message: { id } }) => id === claim.message.id);
        assert.ok(again !== undefined);
        assert.notEqual(again.token, claim.token);
        await assert.rejects(deliver(suite.queue, claim), { code: 'POSTROAD_LEASE_LOST' });
        assert.deepEqual(await suite.queue.renew([claim.token, again.token], 1000), [claim.token]);
        await suite.conserved();
        await deliver(suite.queue, again);
      }
      assert.equal(await suite.queue.count({}), 0);
    });

    it('whose time is over can be settled and renewed until a claim takes them back', async () => {
      const leased = () => suite.queue.enqueue(message(suite.clock), { leaseMs: 1000 });
      const [settled, renewed, lost] = [only(await leased()), only(await leased()), only(await leased())];
      suite.clock.advance(60_000);
      await deliver(suite.queue, settled);
      assert.deepEqual(await suite.queue.renew([renewed.token], 1000), []);
      assert.deepEqual(
        (await suite.claimed()).map(({ message: { id } }) => id),
        [lost.message.id],
      );
      await deliver(suite.queue, renewed);
      await suite.conserved();
    });

    it('wake the scheduler when they end, though nothing else would', async () => {
      await suite.queue.enqueue(message(suite.clock), { leaseMs: 1000 });
      assert.equal(await suite.queue.nextDueTimeMs(), suite.clock.now() + 1000);
    });

    it('last longer when they are renewed', async () => {
      const claim = only(await suite.queue.enqueue(message(suite.clock), { leaseMs: 1000 }));
      suite.clock.advance(900);
      assert.deepEqual(await suite.queue.renew([claim.token], 1000), []);
      suite.clock.advance(900);
      assert.deepEqual(await suite.claimed(), []);
      await deliver(suite.queue, claim);
    });

    it('end with their owner: what it had leased is due, and its tokens fit nothing of the next owner', async () => {
      await suite.queue.enqueue(message(suite.clock));
      const [waited] = await suite.claimed();
      const [born] = await suite.queue.enqueue(message(suite.clock), { leaseMs: 60_000 });
      await suite.reopen();
      assert.deepEqual((await suite.queue.stats()).depth, { Waiting: 2, Leased: 0, Held: 0 });
      assert.equal((await suite.claimed()).length, 2);
      for (const claim of [waited, born]) {
        assert.ok(claim !== undefined);
        await assert.rejects(deliver(suite.queue, claim), { code: 'POSTROAD_LEASE_LOST' });
        assert.deepEqual(await suite.queue.renew([claim.token], 1000), [claim.token]);
      }
      await suite.conserved();
    });
  });
}
