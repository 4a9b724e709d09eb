/** A replica that is connected and says nothing: mail is refused, and what was taken before goes on. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { deliver, everything, message, only } from '../relay/queue/messages.ts';
import { openRedis, single } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { durable, startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

const skip = programsMissing('redis-server', 'redis-cli');

it('what waits is claimed and settled while a replica that must have new mail stands still', { skip }, async t => {
  await using folder = await temporaryFolder();
  await using redis = await startRedis(folder.path);
  const follows = { ...durable, replicaof: `127.0.0.1 ${redis.port}` };
  await using replica = await startRedis(folder.path, { settings: follows });
  await waitUntil('the replica follows', async () => (await redis.ask('INFO', 'replication')).includes('state=online'));
  const { queue, clock, end } = await openRedis(single(redis.port), {
    durability: () => ({ durability: 'Replicas', minReplicas: 1 }),
    lookMs: 200,
  });
  t.after(end);
  const before = message(clock);
  await queue.enqueue(before);
  await queue.stats();
  const connections = async (): Promise<string[]> =>
    (await redis.ask('CLIENT', 'LIST', 'TYPE', 'normal'))
      .split('\n')
      .filter(line => !line.includes('cmd=client'))
      .map(line => line.split(' ', 1).join());
  const connected = await connections();
  assert.equal(connected.length, 2);
  replica.signal('SIGSTOP');
  t.after(() => replica.signal('SIGCONT'));
  await assert.rejects(queue.enqueue(message(clock)), { code: 'POSTROAD_QUEUE_UNAVAILABLE' });
  // To look at the server is no reason to break off what waits for its replica.
  assert.deepEqual(await connections(), connected);

  const claim = only(await queue.claim(everything));
  assert.equal(claim.message.id, before.id);
  await deliver(queue, claim);
  // Who was told 451 is not delivered to, and nothing else is left.
  assert.deepEqual((await queue.stats()).totals, { accepted: 2, delivered: 1, failed: 0, discarded: 1 });
  assert.equal(await queue.count({}), 0);
});
