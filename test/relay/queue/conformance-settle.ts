import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Outcome } from '../../../relay/queue/queue.ts';
import type { Suite } from './conformance-suite.ts';
import { deliver, message, only, paths, to } from './messages.ts';

export function settling(suite: Suite): void {
  describe(`${suite.store}: settle`, () => {
    it('of some leaves the others leased, and a second outcome for the same recipient is refused', async () => {
      const recipients = [to('a@there.example'), to('b@there.example'), to('c@there.example')];
      await suite.queue.enqueue(message(suite.clock, { recipients }));
      const claim = only(await suite.claimed());
      const failed: Outcome = {
        index: 1,
        result: 'Failed',
        reason: 'RemoteRejected',
        reply: { code: 550, enhanced: '5.1.1', text: 'no' },
      };
      await suite.queue.settle({ claim, outcomes: [failed], messages: [] });
      const twice: Outcome[] = [{ index: 0, result: 'Delivered' }, failed];
      await assert.rejects(suite.queue.settle({ claim, outcomes: twice, messages: [] }), {
        code: 'POSTROAD_LEASE_LOST',
      });
      assert.deepEqual((await suite.queue.stats()).depth, { Waiting: 0, Leased: 2, Held: 0 });
      await suite.conserved();
      const rest: Outcome[] = [
        { index: 0, result: 'Delivered' },
        { index: 2, result: 'Discarded', reason: 'Policy' },
      ];
      await suite.queue.settle({ claim, outcomes: rest, messages: [] });
      assert.deepEqual((await suite.queue.stats()).totals, { accepted: 3, delivered: 1, failed: 1, discarded: 1 });
      assert.equal(await suite.queue.count({}), 0);
      await assert.rejects(deliver(suite.queue, claim), { code: 'POSTROAD_LEASE_LOST' });
    });

    it('as deferred keeps reason, reply, time and warning, and counts an attempt only when there was one', async () => {
      for (const born of [false, true]) {
        const sent = message(suite.clock);
        const claims = born
          ? await suite.queue.enqueue(sent, { leaseMs: 1000 })
          : await suite.queue.enqueue(sent).then(() => suite.claimed());
        const nextAttemptTimeMs = suite.clock.now() + 1000;
        const reply = { code: 451, enhanced: '4.7.1', text: 'later\nplease' };
        const first: Outcome = {
          index: 0,
          result: 'Deferred',
          reason: 'Greylisted',
          reply,
          nextAttemptTimeMs,
          attempted: true,
          delayWarned: true,
        };
        await suite.queue.settle({ claim: only(claims), outcomes: [first], messages: [] });
        const { items } = await suite.queue.list({ ids: [sent.id] }, { limit: 10 });
        const { lastReason, lastReply, attempts, delayWarned, nextAttemptTimeMs: due, state } = only(items);
        assert.deepEqual(
          { lastReason, lastReply, attempts, delayWarned, due, state },
          {
            lastReason: 'Greylisted',
            lastReply: reply,
            attempts: 1,
            delayWarned: true,
            due: nextAttemptTimeMs,
            state: 'Waiting',
          },
        );
        suite.clock.advance(1000);
        const second = only(await suite.claimed());
        assert.deepEqual([second.recipients[0]?.attempts, second.recipients[0]?.delayWarned], [1, true]);
        const untried: Outcome = {
          index: 0,
          result: 'Deferred',
          reason: 'Shutdown',
          nextAttemptTimeMs: suite.clock.now(),
          attempted: false,
          delayWarned: false,
        };
        await suite.queue.settle({ claim: second, outcomes: [untried], messages: [] });
        const third = only(await suite.claimed());
        assert.deepEqual([third.recipients[0]?.attempts, third.recipients[0]?.delayWarned], [1, true]);
        await deliver(suite.queue, third);
      }
    });

    it('enqueues the DSNs it causes in the same transition, or does nothing at all', async () => {
      const known = message(suite.clock, { recipients: [to('z@elsewhere.example')] });
      await suite.queue.enqueue(known);
      await suite.queue.enqueue(message(suite.clock));
      const claim = (await suite.claimed()).find(({ destination }) => destination === 'direct/there.example');
      assert.ok(claim !== undefined);
      const outcomes: Outcome[] = [{ index: 0, result: 'Failed', reason: 'RemoteRejected' }];
      const before = await suite.queue.stats();
      const wrong = [{ id: known.id }, { recipients: [] }];
      for (const rest of wrong) {
        const messages = [message(suite.clock, rest)];
        await assert.rejects(suite.queue.settle({ claim, outcomes, messages }));
        assert.deepEqual(await suite.queue.stats(), before);
      }
      const dsn = message(suite.clock, { recipients: [to('a@shop.example')] });
      await suite.queue.settle({ claim, outcomes, messages: [dsn] });
      await suite.reopen();
      assert.deepEqual((await suite.queue.stats()).totals, { accepted: 3, delivered: 0, failed: 1, discarded: 0 });
      assert.deepEqual(paths(await suite.claimed()).sort(), ['a@shop.example', 'z@elsewhere.example']);
      await suite.conserved();
    });

    it('refuses a lost lease alone, while the rest of the same turn is kept', async () => {
      const [lost] = await suite.queue.enqueue(message(suite.clock), { leaseMs: 1 });
      suite.clock.advance(1);
      await suite.claimed();
      const [kept] = await suite.queue.enqueue(message(suite.clock), { leaseMs: 1000 });
      assert.ok(lost !== undefined && kept !== undefined);
      const results = await Promise.allSettled([
        deliver(suite.queue, lost),
        deliver(suite.queue, kept),
        suite.queue.enqueue(message(suite.clock)),
      ]);
      assert.deepEqual(
        results.map(result => result.status),
        ['rejected', 'fulfilled', 'fulfilled'],
      );
      await suite.conserved();
    });
  });
}
