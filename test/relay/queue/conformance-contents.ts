import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Suite } from './conformance-suite.ts';
import { contentOf, deliver, delivered, everything, message, only, readAll, to } from './messages.ts';

export function contents(suite: Suite): void {
  describe(`${suite.store}: what is put in`, () => {
    it('comes out of a claim as it was, field by field and byte by byte', async () => {
      const bytes = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 256));
      const recipients = [to('b@there.example', { notify: ['Success', 'Delay'], orcpt: 'rfc822;b+2B@there.example' })];
      const reversePath = { text: 'ä@shop.example', localPart: 'ä', domain: 'shop.example' };
      const sender = {
        reversePath,
        body: '8BITMIME',
        smtputf8: true,
        requireTls: true,
        ret: 'HDRS',
        envid: 'x y',
      } as const;
      const sent = message(suite.clock, { sender, recipients, content: contentOf(bytes), tls: 'Verified' });
      assert.deepEqual(await suite.queue.enqueue(sent), []);
      await suite.reopen();
      const claim = only(await suite.claimed());
      const { head, content, recipients: _, ...record } = sent;
      assert.deepEqual(claim.message, record);
      const [entry] = (await suite.queue.list({}, { limit: 10 })).items;
      assert.deepEqual([entry?.sender, entry?.tls], [sender, 'Verified']);
      assert.deepEqual(claim.head, head);
      assert.deepEqual(claim.content.bytes, content.bytes);
      assert.deepEqual(await readAll(claim.content), bytes);
      assert.equal(claim.destination, 'direct/there.example');
      assert.deepEqual(claim.recipients, [{ ...recipients[0], index: 0, attempts: 0, delayWarned: false }]);
      assert.equal(claim.leaseExpiryTimeMs, suite.clock.now() + everything.leaseMs);
    });

    it('may be an empty content, an empty head and a null reverse-path', async () => {
      const sender = { reversePath: null, body: '7BIT', smtputf8: false, requireTls: false } as const;
      await suite.queue.enqueue(message(suite.clock, { sender, head: Buffer.alloc(0), content: contentOf('') }));
      await suite.reopen();
      const claim = only(await suite.claimed());
      assert.equal(claim.message.sender.reversePath, null);
      assert.equal(claim.head.length + (await readAll(claim.content)).length, 0);
    });

    it('is born leased when asked, one claim a destination, with the content still in memory', async () => {
      const sent = message(suite.clock, {
        tls: 'Required',
        recipients: [to('a@one.example'), to('b@two.example'), to('c@one.example')],
      });
      const claims = await suite.queue.enqueue(sent, { leaseMs: 1000 });
      assert.deepEqual(
        claims.map(({ destination, recipients }) => [destination, recipients.map(r => r.index)]),
        [
          ['direct/one.example', [0, 2]],
          ['direct/two.example', [1]],
        ],
      );
      for (const { message: record, content, dueTimeMs, leaseExpiryTimeMs } of claims) {
        assert.equal(record.tls, 'Required');
        assert.equal(dueTimeMs, sent.receivedTimeMs);
        assert.equal(content.bytes, sent.content.bytes);
        assert.equal(leaseExpiryTimeMs, suite.clock.now() + 1000);
      }
      assert.deepEqual(await suite.claimed(), []);
      for (const claim of claims) await deliver(suite.queue, claim);
      assert.equal((await suite.queue.stats()).totals.delivered, 3);
    });

    it('is refused alone when it is wrong, and stores nothing, while the rest of the same turn is kept', async () => {
      const first = message(suite.clock);
      const results = await Promise.allSettled([
        suite.queue.enqueue(first),
        suite.queue.enqueue(message(suite.clock, { recipients: [] })),
        suite.queue.enqueue(message(suite.clock, { id: first.id, recipients: [to('x@x.example'), to('y@x.example')] })),
        suite.queue.enqueue(message(suite.clock), { leaseMs: 1000 }),
      ]);
      assert.deepEqual(
        results.map(result => result.status),
        ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
      );
      const { totals, depth } = await suite.queue.stats();
      assert.deepEqual([totals.accepted, depth.Waiting, depth.Leased], [2, 1, 1]);
      await suite.conserved();
    });
  });

  describe(`${suite.store}: spool`, () => {
    for (const sizeBytes of [0, 1, 100_000, 3_000_000]) {
      it(`gives back ${sizeBytes} bytes written in pieces, as often as they are read, also after a restart`, async () => {
        const bytes = Buffer.from(Array.from({ length: sizeBytes }, (_, i) => (i * 7) % 251));
        const spool = suite.queue.openSpool();
        for (let at = 0; at < bytes.length; at += 10_000) await spool.write(bytes.subarray(at, at + 10_000));
        const content = await spool.finish();
        assert.equal(content.sizeBytes, sizeBytes);
        assert.ok((await readAll(content)).equals(bytes));
        const claim = only(await suite.queue.enqueue(message(suite.clock, { content }), { leaseMs: 1000 }));
        await spool.discard();
        for (const _ of [1, 2]) assert.ok((await readAll(claim.content)).equals(bytes));
        await suite.reopen();
        const again = only(await suite.claimed());
        assert.equal(again.content.sizeBytes, sizeBytes);
        assert.ok((await readAll(again.content)).equals(bytes));
        await deliver(suite.queue, again);
      });
    }

    it('takes back a large content that was refused, and one that was discarded while being enqueued', async () => {
      const first = message(suite.clock);
      await suite.queue.enqueue(first);
      const spool = suite.queue.openSpool();
      await spool.write(Buffer.alloc(1_000_000, 'x'));
      const content = await spool.finish();
      const refused = suite.queue.enqueue(message(suite.clock, { id: first.id, content }));
      await Promise.all([assert.rejects(refused), spool.discard()]);
      await spool.discard();
      assert.equal(await suite.queue.count({}), 1);
    });

    it('copies a large content that is not its own', async () => {
      const bytes = Buffer.alloc(1_000_000, 'y');
      await suite.queue.enqueue(message(suite.clock, { content: contentOf(bytes) }));
      const claim = only(await suite.claimed());
      assert.ok((await readAll(claim.content)).equals(bytes));
      const dsn = message(suite.clock, { content: claim.content });
      await suite.queue.settle({ claim, outcomes: delivered(claim), messages: [dsn] });
      assert.ok((await readAll(only(await suite.claimed()).content)).equals(bytes));
    });
  });

  describe(`${suite.store}: closing`, () => {
    it('finishes what was asked, and refuses what comes later', async () => {
      const asked = [
        suite.queue.enqueue(message(suite.clock)),
        suite.queue.probe(),
        suite.queue.enqueue(message(suite.clock)),
      ];
      const closing = suite.queue.close();
      await Promise.all(asked);
      await closing;
      await assert.rejects(suite.queue.enqueue(message(suite.clock)), { code: 'POSTROAD_QUEUE_CLOSED' });
      await suite.queue.close();
      await suite.reopen();
      assert.deepEqual((await suite.queue.stats()).totals, { accepted: 2, delivered: 0, failed: 0, discarded: 0 });
    });
  });
}
