/** A server that another takes the place of, or has taken the place of, and that does not know it yet: what it stores then will be gone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Queue } from '../../relay/queue/queue.ts';
import type { RedisOptions } from '../../relay/redis/options.ts';
import { contentOf, everything, message, only, readAll } from '../relay/queue/messages.ts';
import { openRedis } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { durable, startRedis } from '../support/redis.ts';
import { type ScriptedSentinel, startScriptedSentinel } from '../support/scripted-sentinel.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';

function behind(sentinels: readonly ScriptedSentinel[]): RedisOptions {
  const addresses = sentinels.map(({ port }) => ({ host: '127.0.0.1', port }));
  return { type: 'Sentinel', addresses, database: 0, sentinel: { masterName: 'queue' } };
}

async function isUnsafe(queue: Queue): Promise<boolean> {
  try {
    await queue.probe();
    return false;
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'POSTROAD_QUEUE_UNSAFE') return true;
    assert.equal(code, 'POSTROAD_QUEUE_UNAVAILABLE', String(error));
    return false;
  }
}

describe('A queue in Redis behind Sentinels', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  it('acknowledges nothing at a server that most of them no longer name, and finds the other when it is told of it', async () => {
    await using folder = await temporaryFolder();
    await using former = await startRedis(folder.path);
    await using master = await startRedis(folder.path);
    await using late = await startScriptedSentinel(former.port);
    await using second = await startScriptedSentinel(master.port);
    await using third = await startScriptedSentinel(master.port);
    const { queue, clock, keyPrefix, end } = await openRedis(behind([late, second, third]));
    try {
      await assert.rejects(queue.enqueue(message(clock)), { code: 'POSTROAD_QUEUE_UNSAFE' });
      assert.equal(await former.ask('KEYS', `${keyPrefix}*:m:*`), '');
      late.name(master.port);
      const stored = async (): Promise<boolean> =>
        !(await isUnsafe(queue)) && (await queue.enqueue(message(clock))).length === 0;
      await waitUntil('it is led to the master', stored, { limitMs: 30_000 });
      assert.notEqual(await master.ask('KEYS', `${keyPrefix}*:m:*`), '');
      assert.equal(await former.ask('KEYS', `${keyPrefix}*:m:*`), '');
    } finally {
      await end();
    }
  });

  it('asks all of what it asks at the server that takes its mail, also when only one of its connections was led there', async () => {
    await using folder = await temporaryFolder();
    await using former = await startRedis(folder.path);
    await using master = await startRedis(folder.path);
    await using sentinel = await startScriptedSentinel(former.port);
    const { queue, clock, end } = await openRedis(behind([sentinel]), { lookMs: 3_600_000, beatMs: 3_600_000 });
    try {
      await queue.enqueue(message(clock, { content: contentOf(Buffer.alloc(300_000)) }));
      await readAll(only(await queue.claim(everything)).content);
      // Contents are read by the other one.
      const clients = (await former.ask('CLIENT', 'LIST', 'TYPE', 'normal')).split('\n');
      const [id] = clients.find(line => line.includes('cmd=evalsha'))?.match(/\d+/) ?? [];
      sentinel.name(master.port);
      assert.equal(await former.ask('CLIENT', 'KILL', 'ID', String(id)), '1');
      const sent = message(clock);
      await queue.enqueue(sent);
      assert.equal((await master.ask('KEYS', `*:m:${sent.id}`)) === '', false);
      await waitUntil('it is claimed', async () => (await queue.claim(everything)).length === 1, { limitMs: 30_000 });
    } finally {
      await end();
    }
  });

  it('acknowledges nothing alone just after the last replica has left, which may be about to take over', async () => {
    await using folder = await temporaryFolder();
    await using master = await startRedis(folder.path);
    const follows = { ...durable, replicaof: `127.0.0.1 ${master.port}` };
    await using replica = await startRedis(folder.path, { settings: follows });
    await waitUntil('the replica follows', async () =>
      (await master.ask('INFO', 'replication')).includes('state=online'),
    );
    await using first = await startScriptedSentinel(master.port);
    await using second = await startScriptedSentinel(master.port);
    const { queue, clock, end } = await openRedis(behind([first, second]), { lookMs: 50 });
    try {
      await queue.enqueue(message(clock));
      const killedMs = performance.now();
      await replica.kill();
      await waitUntil('it is noticed', () => isUnsafe(queue));
      await assert.rejects(queue.enqueue(message(clock)), /ReplicaGone/);
      // In most cases it is only a replica that is away.
      await waitUntil('it goes on alone', async () => !(await isUnsafe(queue)), { limitMs: 60_000 });
      assert.ok(performance.now() - killedMs > 9900, `after ${performance.now() - killedMs} ms`);
      await queue.enqueue(message(clock));
    } finally {
      await end();
    }
  });
});
