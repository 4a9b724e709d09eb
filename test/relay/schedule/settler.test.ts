import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecipientResult } from '../../../relay/deliver/outcome.ts';
import { createLog } from '../../../relay/log.ts';
import { createMetrics } from '../../../relay/metrics.ts';
import type { NewRecipient, Queue } from '../../../relay/queue/queue.ts';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { HeldClaims } from '../../../relay/schedule/held.ts';
import { Settler } from '../../../relay/schedule/settler.ts';
import type { Signer } from '../../../relay/sign/signer.ts';
import { reply } from '../../../relay/smtp/reply.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { buildConfig } from '../../support/policy-builders.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { message, nextId, to } from '../queue/messages.ts';

interface Settling extends AsyncDisposable {
  readonly queue: Queue;
  /** Enqueues one message, settles it with a result a recipient, and waits until the claim is let go of. */
  settled(recipients: readonly NewRecipient[], results: readonly RecipientResult[]): Promise<void>;
  /** DSNs counted, by action; those that are not zero. */
  dsns(): Promise<Record<string, number>>;
}

/** The relay's name is in no policy's domain, so nothing is signed. */
const signer: Signer = {
  hashBody: () => assert.fail('nothing to sign'),
  sign: () => assert.fail('nothing to sign'),
};

async function startSettling(newId: () => string = nextId): Promise<Settling> {
  const folder = await temporaryFolder();
  const clock = new FakeClock();
  const metrics = createMetrics();
  const config = buildConfig();
  const queue = await openVolumeQueue({ dataDir: folder.path, minFreeDiskBytes: () => 0, clock });
  const held = new HeldClaims({ maxClaims: 100, maxBytes: 1e6 }, () => undefined);
  const parts = { state: () => ({ config }), queue, held, signer, newId, clock, metrics };
  const settler = new Settler({ ...parts, random: () => 0.5, log: createLog('silent'), onDue: () => undefined });
  return {
    queue,
    async settled(recipients, results) {
      const [claim] = await queue.enqueue(message(clock, { recipients }), { leaseMs: 60_000 });
      assert.ok(claim !== undefined);
      const attempt = { results, stale: false, closing: false, detail: undefined };
      settler.settle(held.add(claim), attempt, { lane: 'lane', remote: 'mx.test' });
      await held.empty();
    },
    async dsns() {
      const { values } = await metrics.postroad_bounce_dsns_total.get();
      return Object.fromEntries(
        values.filter(({ value }) => value > 0).map(({ labels, value }) => [labels.action, value]),
      );
    },
    async [Symbol.asyncDispose]() {
      await queue.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const refused = (index: number): RecipientResult => ({
  index,
  result: 'Failed',
  reason: 'RemoteRejected',
  reply: reply(550, '5.1.1', 'nobody'),
});
const relayed = (index: number): RecipientResult => ({ index, result: 'Delivered', dsn: 'Relayed' });

test('a DSN is counted once, by the gravest of what it says', async () => {
  await using set = await startSettling();
  await set.settled([to('a@there.example'), to('b@there.example', { notify: ['Success'] })], [refused(0), relayed(1)]);
  assert.deepEqual(await set.dsns(), { failed: 1 });
  await set.settled([to('a@there.example', { notify: ['Success'] })], [relayed(0)]);
  assert.deepEqual(await set.dsns(), { failed: 1, relayed: 1 });
});

test('what nobody wanted to be told of is not counted as a DSN', async () => {
  await using set = await startSettling();
  await set.settled(
    [to('a@there.example', { notify: ['Never'] }), to('b@there.example', { notify: ['Success'] })],
    [refused(0), relayed(1)],
  );
  assert.deepEqual(await set.dsns(), { relayed: 1 });
  await set.settled([to('a@there.example', { notify: ['Never'] })], [refused(0)]);
  assert.deepEqual(await set.dsns(), { relayed: 1 });
});

test('who cannot be told of a failure is not given up; the others are settled as they fared', async () => {
  let broken = true;
  await using set = await startSettling(() => {
    if (broken) throw new Error('a fault of ours');
    return nextId();
  });
  await set.settled([to('a@there.example'), to('b@there.example')], [refused(0), relayed(1)]);
  const { totals, depth } = await set.queue.stats();
  assert.deepEqual(
    { totals, depth },
    { totals: { accepted: 2, delivered: 1, failed: 0, discarded: 0 }, depth: { Waiting: 1, Leased: 0, Held: 0 } },
  );
  const { items } = await set.queue.list({}, { limit: 10 });
  assert.deepEqual([items[0]?.lastReason, items[0]?.attempts], ['Internal', 1]);
  assert.deepEqual(await set.dsns(), {});
  broken = false;
  await set.settled([to('c@there.example')], [refused(0)]);
  assert.equal((await set.queue.stats()).totals.failed, 1);
  assert.deepEqual(await set.dsns(), { failed: 1 });
});
