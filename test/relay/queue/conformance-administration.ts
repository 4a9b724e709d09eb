import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Suite } from './conformance-suite.ts';
import { deferred, message, to } from './messages.ts';

export function administration(suite: Suite): void {
  describe(`${suite.store}: administration`, () => {
    async function fill(): Promise<string[]> {
      const ids: string[] = [];
      for (const [n, domain] of ['one.example', 'two.example', 'one.example'].entries()) {
        const sent = message(suite.clock, {
          tenant: n === 2 ? 'other' : 'shop',
          recipients: [to(`a@${domain}`), to(`b@${domain}`)],
        });
        ids.push(sent.id);
        await suite.queue.enqueue(sent);
        suite.clock.advance(1000);
      }
      return ids;
    }

    it('holds what waits, by filter, until it is released', async () => {
      const ids = await fill();
      const leased = (await suite.queue.claim({ limit: 2, limitPerDestination: 2, leaseMs: 60_000 })).flatMap(
        claim => claim.recipients,
      );
      assert.equal(leased.length, 2);
      assert.equal(await suite.queue.hold({ tenant: 'nobody' }), 0);
      assert.equal(await suite.queue.hold({}), 4);
      assert.deepEqual((await suite.queue.stats()).depth, { Waiting: 0, Leased: 2, Held: 4 });
      assert.deepEqual(await suite.claimed(), []);
      await suite.reopen();
      assert.equal((await suite.claimed()).flatMap(claim => claim.recipients).length, 2);
      await suite.conserved();
      const held = (await suite.queue.list({ state: 'Held' }, { limit: 10 })).items;
      assert.equal(await suite.queue.release({ ids: [held[0]?.id ?? ''] }), 2);
      assert.equal((await suite.claimed()).flatMap(claim => claim.recipients).length, 2);
      assert.equal(await suite.queue.release({}), 2);
      await suite.conserved();
      assert.equal(await suite.queue.count({ ids }), 6);
    });

    it('makes what waits for later due now', async () => {
      await fill();
      for (const claim of await suite.claimed())
        await suite.queue.settle({ claim, outcomes: deferred(claim, suite.clock.now() + 1_000_000), messages: [] });
      assert.equal(await suite.queue.retryNow({ domain: 'one.example' }), 4);
      assert.deepEqual(
        new Set((await suite.claimed()).map(claim => claim.destination)),
        new Set(['direct/one.example']),
      );
    });

    it('lists and counts by id, domain, tenant, state and age', async () => {
      const ids = await fill();
      const table = [
        [{}, 6],
        [{ ids: [ids[1] ?? '', 'unknown'] }, 2],
        [{ ids: [] }, 0],
        [{ domain: 'one.example' }, 4],
        [{ tenant: 'other' }, 2],
        [{ domain: 'two.example', tenant: 'other' }, 0],
        [{ state: 'Held' }, 0],
        [{ state: 'Waiting' }, 6],
        [{ receivedBeforeMs: suite.clock.now() - 2000 }, 2],
      ] as const;
      for (const [filter, matches] of table) {
        assert.equal(await suite.queue.count(filter), matches, JSON.stringify(filter));
        assert.equal((await suite.queue.list(filter, { limit: 100 })).items.length, matches, JSON.stringify(filter));
      }
      await suite.queue.claim({ limit: 2, limitPerDestination: 2, leaseMs: 1000 });
      assert.deepEqual(
        [
          await suite.queue.count({ state: 'Leased' }),
          await suite.queue.count({ state: 'Waiting', domain: 'one.example' }),
        ],
        [2, 2],
      );
      const entry = (await suite.queue.list({ tenant: 'other' }, { limit: 1 })).items[0];
      assert.deepEqual(
        [entry?.id, entry?.forwardPath, entry?.state, entry?.lastReason, entry?.lastReply, entry?.sizeBytes],
        [ids[2], 'a@one.example', 'Waiting', null, null, 25],
      );
    });

    async function readPages(limit: number): Promise<string[]> {
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const page = await suite.queue.list({}, { limit, ...(after === undefined ? {} : { after }) });
        assert.ok(page.items.length <= limit && page.items.length > 0);
        seen.push(...page.items.map(item => `${item.id} ${item.index}`));
        after = page.next;
      } while (after !== undefined);
      return seen;
    }

    it('gives each entry once when a list is read page by page, and ends', async () => {
      for (let n = 0; n < 7; n += 1)
        await suite.queue.enqueue(message(suite.clock, { recipients: [to('a@x.example'), to('b@x.example')] }));
      for (const limit of [1, 3, 7, 14]) {
        const seen = await readPages(limit);
        assert.equal(seen.length, 14);
        assert.deepEqual(seen, [...new Set(seen)].sort());
      }
      await assert.rejects(suite.queue.list({}, { limit: 1, after: 'nonsense' }), RangeError);
    });

    it('knows the due time of the longest overdue recipient', async () => {
      assert.equal((await suite.queue.stats()).oldestDueTimeMs, undefined);
      const first = suite.clock.now();
      await fill();
      assert.equal((await suite.queue.stats()).oldestDueTimeMs, first);
      const [claim] = await suite.queue.claim({ limit: 2, limitPerDestination: 2, leaseMs: 1_000_000 });
      assert.ok(claim !== undefined);
      assert.equal((await suite.queue.stats()).oldestDueTimeMs, first + 1000);
      await suite.queue.settle({ claim, outcomes: deferred(claim, suite.clock.now() + 1), messages: [] });
      await suite.queue.hold({
        state: 'Waiting',
        ids: (await suite.queue.list({}, { limit: 100 })).items.map(item => item.id),
      });
      assert.equal((await suite.queue.stats()).oldestDueTimeMs, undefined);
      assert.equal(await suite.queue.nextDueTimeMs(), undefined);
    });
  });
}
