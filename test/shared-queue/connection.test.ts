import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RedisConnection } from '../../relay/redis/connection.ts';
import { programsMissing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('A connection to Redis', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  it('hears what was answered while the process stood still, however long that was', async () => {
    await using folder = await temporaryFolder();
    await using redis = await startRedis(folder.path);
    const connection = new RedisConnection(() => ({
      type: 'Single',
      addresses: [{ host: '127.0.0.1', port: redis.port }],
      database: 0,
    }));
    try {
      await connection.waitReady(performance.now() + 5000);
      const asked = connection.run([['ECHO', 'heard']], 100);
      await new Promise(resolve => process.nextTick(resolve));
      // As by SIGSTOP: no timer and no socket is looked at.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
      assert.deepEqual(await asked, [Buffer.from('heard')]);
    } finally {
      connection.close();
    }
  });

  it('gives up an answer that does not come in time', async () => {
    await using folder = await temporaryFolder();
    await using redis = await startRedis(folder.path);
    const connection = new RedisConnection(() => ({
      type: 'Single',
      addresses: [{ host: '127.0.0.1', port: redis.port }],
      database: 0,
    }));
    try {
      await connection.waitReady(performance.now() + 5000);
      redis.signal('SIGSTOP');
      const [answer] = await connection.run([['PING']], 100);
      assert.equal((answer as { kind?: unknown }).kind, 'Unknown');
    } finally {
      redis.signal('SIGCONT');
      connection.close();
    }
  });
});
