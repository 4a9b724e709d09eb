import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createServer } from 'node:tls';
import { RedisConnection } from '../../relay/redis/connection.ts';
import type { RedisOptions } from '../../relay/redis/options.ts';
import { programsMissing } from '../support/programs.ts';
import { startRedis } from '../support/redis.ts';
import { startScriptedSentinel } from '../support/scripted-sentinel.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { createTestCa } from '../support/test-ca.ts';
import { waitUntil } from '../support/wait-until.ts';

function connect(port: number, more: Pick<RedisOptions, 'tls'> = {}): RedisConnection {
  return new RedisConnection(() => ({
    type: 'Single',
    addresses: [{ host: '127.0.0.1', port }],
    database: 0,
    ...more,
  }));
}

describe('A connection to Redis', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  it('hears what was answered while the process stood still, however long that was', async () => {
    await using folder = await temporaryFolder();
    await using redis = await startRedis(folder.path);
    const connection = connect(redis.port);
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
    const connection = connect(redis.port);
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

  it('says at once that nobody knows, of what was under way when it broke', async () => {
    await using folder = await temporaryFolder();
    await using redis = await startRedis(folder.path);
    const connection = connect(redis.port);
    try {
      await connection.waitReady(performance.now() + 5000);
      redis.signal('SIGSTOP');
      const began = performance.now();
      const asked = connection.run([['PING'], ['PING']], 60_000);
      await redis.kill();
      const kinds = (await asked).map(answer => (answer as { kind?: unknown }).kind);
      assert.deepEqual(kinds, ['Unknown', 'Unknown']);
      assert.ok(performance.now() - began < 30_000, 'not only when its time is over');
    } finally {
      connection.close();
    }
  });

  it('comes back when it hears of a failover while it asks the Sentinels where the master is', async () => {
    await using folder = await temporaryFolder();
    await using redis = await startRedis(folder.path);
    await using sentinel = await startScriptedSentinel(redis.port);
    const addresses = [{ host: '127.0.0.1', port: sentinel.port }];
    const options: RedisOptions = { type: 'Sentinel', addresses, database: 0, sentinel: { masterName: 'queue' } };
    const connection = new RedisConnection(() => options);
    try {
      await connection.waitReady(performance.now() + 5000);
      await waitUntil('the client to listen for failovers', () => sentinel.subscribers > 0);
      const before = sentinel.asked;
      sentinel.hold();
      await redis.kill();
      await waitUntil('the client to ask for the master', () => sentinel.asked > before);
      sentinel.tellSwitch();
      // The client acts on it before it hears where the master is.
      await waitUntil('the client to have heard of it', () => sentinel.subscribers === 0);
      await redis.start();
      sentinel.release();
      await connection.waitReady(performance.now() + 10_000);
      assert.deepEqual(await connection.run([['PING']], 5000), [Buffer.from('PONG')]);
    } finally {
      connection.close();
    }
  });

  it('leaves no connection to a Sentinel behind when it is made anew', async () => {
    await using folder = await temporaryFolder();
    await using redis = await startRedis(folder.path);
    await using sentinel = await startScriptedSentinel(redis.port);
    const addresses = [{ host: '127.0.0.1', port: sentinel.port }];
    const options: RedisOptions = { type: 'Sentinel', addresses, database: 0, sentinel: { masterName: 'queue' } };
    const connection = new RedisConnection(() => options);
    try {
      for (let made = 1; made <= 3; made++) {
        await waitUntil(
          'the client to listen for failovers',
          () => connection.generation === made && sentinel.subscribers > 0,
        );
        if (made < 3) connection.renew();
      }
      await waitUntil('one listens', () => sentinel.subscribers === 1);
    } finally {
      connection.close();
    }
    await waitUntil('nobody listens', () => sentinel.subscribers === 0);
  });

  it('outlives whatever a server does in the middle of TLS', async t => {
    const seed = Date.now() % 1_000_000;
    t.diagnostic(`seed ${seed}`);
    const random = seededRandom(seed);
    await using folder = await temporaryFolder();
    const { certificateFile, privateKeyFile } = await (await createTestCa(folder.path)).issue('redis.test');
    const [cert, key] = await Promise.all([readFile(certificateFile), readFile(privateKeyFile)]);
    const server = createServer({ cert, key }, socket => socket.on('error', () => undefined));
    const alert = Buffer.from('15030300020232', 'hex');
    const raws: Socket[] = [];
    server.on('connection', (raw: Socket) => {
      raws.push(raw);
      raw.on('error', () => undefined);
      setTimeout(() => raw.writable && raw.write(alert), random() * 8);
    });
    server.on('tlsClientError', () => undefined);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    for (let left = 80; left > 0; left--) {
      const connection = connect(port, { tls: { verified: left % 2 === 0 } });
      // At any point of the handshake. An error that nobody catches fails this test.
      await delay(random() * 20);
      connection.close();
    }
    for (const raw of raws) raw.destroy();
    await new Promise(resolve => server.close(resolve));
  });
});
