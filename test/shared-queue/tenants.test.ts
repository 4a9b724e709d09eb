/** Whose turn it is, when three relays claim from one queue. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Claim, NewMessage, NewRecipient, Queue } from '../../relay/queue/queue.ts';
import { message, to } from '../relay/queue/messages.ts';
import { openRedis, type RedisHarness, single } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { RawClient } from '../support/raw-client.ts';
import { queueIn, type RedisPeer, startRedis } from '../support/redis.ts';
import { drained, type RelayProcess, relayConfig, startRelayProcess } from '../support/relay-process.ts';
import { startScriptedMx } from '../support/scripted-mx.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

const leaseMs = 60_000;
const names = (count: number, suffix: string) => Array.from({ length: count }, (_, n) => to(`u@d${n}.${suffix}`));
const users = (count: number) => Array.from({ length: count }, (_, n) => to(`u${n}@hop.example`));

describe('Tenants of three relays on one queue', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let redis: RedisPeer;
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    redis = stack.use(await startRedis(folder.path));
  });
  after(() => stack.disposeAsync());

  async function world(t: { after(end: () => Promise<void>): void }): Promise<RedisHarness & { relays: Queue[] }> {
    const harness = await openRedis(single(redis.port));
    const others = [await harness.another(), await harness.another()].map(({ queue }) => queue);
    t.after(async () => {
      for (const queue of others) await queue.close();
      await harness.end();
    });
    return { ...harness, relays: [harness.queue, ...others] };
  }

  /** What each of the tenants had of the first claims of all relays, recipients. */
  async function shares(relays: readonly Queue[], rounds: number): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (let round = 0; round < rounds; round += 1) {
      const claims = await Promise.all(
        relays.map(queue => queue.claim({ limit: 20, limitPerDestination: 10, leaseMs })),
      );
      for (const claim of claims.flat())
        counts.set(claim.message.tenant, (counts.get(claim.message.tenant) ?? 0) + claim.recipients.length);
    }
    return counts;
  }

  const hundreds = Array.from({ length: 20 });

  it('have the same of what is claimed, however much one of them has waiting', async t => {
    const { queue, clock, relays } = await world(t);
    for (const _ of hundreds) await queue.enqueue(message(clock, { tenant: 'loud', recipients: names(100, 'loud') }));
    for (const tenant of ['quiet', 'small'])
      await fill(queue, users(60), recipient => message(clock, { tenant, recipients: [recipient] }));
    const counts = await shares(relays, 2);
    t.diagnostic(JSON.stringify(Object.fromEntries(counts)));
    assert.equal(
      [...counts.values()].reduce((sum, count) => sum + count, 0),
      120,
    );
    assert.ok((counts.get('quiet') ?? 0) >= 20, `${counts.get('quiet')}`);
    assert.ok((counts.get('small') ?? 0) >= 20, `${counts.get('small')}`);
  });

  it('have the same also of one destination, as a smart host is', async t => {
    const { queue, clock, relays } = await world(t);
    await fill(queue, users(2000), recipient => message(clock, { tenant: 'loud', recipients: [recipient] }));
    await fill(queue, users(30), recipient => message(clock, { tenant: 'quiet', recipients: [recipient] }));
    const counts = await shares(relays, 2);
    t.diagnostic(JSON.stringify(Object.fromEntries(counts)));
    assert.ok((counts.get('quiet') ?? 0) >= 25, `${counts.get('quiet')}`);
  });

  it('are not kept waiting by one whose destinations all rest, however many', async t => {
    const { queue, clock, relays } = await world(t);
    const resting = names(1500, 'down.example');
    await queue.enqueue(message(clock, { tenant: 'loud', recipients: resting }));
    const untilMs = clock.now() + 600_000;
    for (const relay of relays)
      await Promise.all(resting.map(({ destination }) => relay.suspend(destination, untilMs)));
    await queue.enqueue(message(clock, { tenant: 'quiet', recipients: [to('u@up.example')] }));
    await queue.enqueue(message(clock, { tenant: 'loud', recipients: [to('u@up.example')] }));
    const claims: Claim[] = [];
    for (let round = 0; round < 4; round += 1)
      for (const relay of relays)
        claims.push(...(await relay.claim({ limit: 500, limitPerDestination: 100, leaseMs })));
    assert.deepEqual(claims.map(({ message: { tenant }, destination }) => `${tenant} ${destination}`).sort(), [
      'loud direct/up.example',
      'quiet direct/up.example',
    ]);
  });

  it('get through beside a flood of another, whichever relay they speak to', async t => {
    await using stack = new AsyncDisposableStack();
    let sent: Promise<void> | undefined;
    let messageMs = 5;
    const mx = stack.use(
      await startScriptedMx({
        extensions: ['8BITMIME'],
        async script({ event }) {
          if (event === 'MAIL') await sent;
          if (event === 'MESSAGE') await delay(messageMs);
        },
      }),
    );
    const config = relayConfig({
      route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: mx.port, tls: 'Disabled' } },
      delivery: { maxConnectionsPerLane: 3 },
      queue: queueIn(redis, 'flood:'),
      policies: ['loud', 'quiet'].map(name => ({
        namespace: name,
        name,
        domains: [`${name}.example`],
        senders: { namespaces: ['mail'] },
      })),
    });
    const start = async () => stack.use(await startRelayProcess(config));
    const relays = [await start(), await start(), await start()];
    const [first] = relays;
    assert.ok(first);
    // A next hop that nobody has delivered to yet is one relay's alone, and the others would give back what they hold.
    await send(first, 'loud', 1);
    await drained(first);

    const all = Promise.withResolvers<void>();
    sent = all.promise;
    await Promise.all(relays.map(relay => send(relay, 'loud', flood / relays.length)));
    await Promise.all(relays.map(relay => send(relay, 'quiet', 5)));
    // Whoever came first has all connections. What stands in the lines of the others waits for theirs, which is no matter of tenants.
    messageMs = 50;
    const before = await Promise.all(relays.map(delivered));
    all.resolve();
    await waitUntil(
      'each relay to deliver',
      async () => (await Promise.all(relays.map(delivered))).every((count, at) => count > (before[at] ?? 0)),
      { limitMs: 30_000 },
    );
    const slowly = mx.messages.length;
    messageMs = 5;
    await drained(first);
    const order = mx.messages.filter(({ accepted }) => accepted).map(({ mail }) => mail.includes('quiet'));
    const last = order.lastIndexOf(true);
    t.diagnostic(
      `the last of 15 came after ${last} of ${flood} of the flood, ${slowly} of them before all relays delivered`,
    );
    assert.equal(order.length, 1 + flood + 15);
    // What was in the lines of three relays before it, and what is claimed with it.
    assert.ok(last < inLines + 600, `${last}`);
  });
});

async function fill(
  queue: Queue,
  recipients: readonly NewRecipient[],
  messageTo: (recipient: NewRecipient) => NewMessage,
): Promise<void> {
  await Promise.all(recipients.map(recipient => queue.enqueue(messageTo(recipient))));
}

const flood = 2400;
const inLines = 3 * 200;

async function delivered(relay: RelayProcess): Promise<number> {
  const values = [...(await relay.metrics())];
  const its = values.filter(([name]) => name.startsWith('postroad_deliver_attempts_total{outcome="Delivered"'));
  return its.reduce((sum, [, count]) => sum + count, 0);
}

async function send(relay: RelayProcess, tenant: string, count: number): Promise<void> {
  const client = await RawClient.open(relay.port());
  const content = Buffer.from(`From: a@${tenant}.example\r\n\r\nhello\r\n`);
  for (let n = 0; n < count; n += 1) {
    const submission = { reversePath: `a@${tenant}.example`, recipients: [`u${n}@hop.example`], content };
    assert.equal((await client.send(submission)).outcome, 'accepted');
  }
  await client.quit();
}
