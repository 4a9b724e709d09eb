/** TLS, users and their rotation, against a real server. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import type { RedisOptions } from '../../relay/redis/options.ts';
import { contentOf, everything, message } from '../relay/queue/messages.ts';
import { openRedis } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { durable, type RedisPeer, startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { createTestCa } from '../support/test-ca.ts';
import { waitUntil } from '../support/wait-until.ts';

describe('A Redis with TLS and users', { skip: programsMissing('redis-server', 'redis-cli', 'openssl') }, () => {
  const stack = new AsyncDisposableStack();
  let redis: RedisPeer;
  let ca: string;
  before(async () => {
    const folder = stack.use(await temporaryFolder()).path;
    const authority = await createTestCa(folder);
    const { certificateFile, privateKeyFile } = await authority.issue('redis.test');
    ca = await readFile(authority.certificateFile, 'utf8');
    redis = stack.use(
      await startRedis(folder, {
        settings: {
          ...durable,
          'tls-cert-file': certificateFile,
          'tls-key-file': privateKeyFile,
          'tls-ca-cert-file': authority.certificateFile,
          'tls-auth-clients': 'no',
        },
        tls: true,
        cliArgs: ['--tls', '--cacert', authority.certificateFile],
      }),
    );
    await redis.ask(
      'ACL',
      'SETUSER',
      'relay',
      'on',
      '>first',
      '>second',
      '~test:*',
      '+@all',
      '-@dangerous',
      '+info',
      '+config|get',
    );
  });
  after(() => stack.disposeAsync());

  const options = (changes: Partial<RedisOptions> = {}): RedisOptions => ({
    type: 'Single',
    addresses: [{ host: '127.0.0.1', port: redis.port }],
    database: 0,
    tls: { verified: true, ca },
    credentials: { username: 'relay', password: 'first' },
    ...changes,
  });

  it('is used with a user that may do nothing but the queue', async () => {
    const harness = await openRedis(options());
    await harness.queue.enqueue(message(harness.clock));
    assert.equal((await harness.queue.claim(everything)).length, 1);
    assert.equal((await harness.queue.stats()).totals.accepted, 1);
    await harness.end();
  });

  it('takes nothing for a user that may not run all that the queue needs, and says what is missing', async t => {
    const rights = ['~test:*', '+@all', '-@dangerous', '-rename', '+info', '+config|get'];
    await redis.ask('ACL', 'SETUSER', 'poor', 'on', '>first', ...rights);
    const poor = await openRedis(options({ credentials: { username: 'poor', password: 'first' } }));
    t.after(() => poor.end());
    const { queue, clock, keyPrefix } = poor;
    const content = contentOf(Buffer.alloc(300_000));
    await assert.rejects(queue.enqueue(message(clock, { content })), {
      code: 'POSTROAD_QUEUE_FAULT',
      message: /rename/i,
    });
    assert.equal(await redis.ask('KEYS', `${keyPrefix}*:m:*`), '');
  });

  it('is refused when its certificate is not of the authority that was named', async () => {
    const harness = await openRedis(options({ tls: { verified: true } }));
    await assert.rejects(harness.queue.probe(), { code: 'POSTROAD_QUEUE_UNAVAILABLE', message: /certificate/ });
    await harness.end();
  });

  it('is left and joined again with a new password while mail flows, and nobody notices', async () => {
    let now = options();
    const harness = await openRedis(options(), { redis: () => now });
    const { queue, clock, opened } = harness;
    let [stored, stop] = [0, false];
    async function writer(): Promise<void> {
      while (!stop) {
        await queue.enqueue(message(clock));
        stored += 1;
      }
    }
    const writers = Promise.all(Array.from({ length: 5 }, writer));
    await waitUntil('mail flows', () => stored > 50);
    now = options({ credentials: { username: 'relay', password: 'second' } });
    opened.reconnect();
    await waitUntil('the old connections are gone', async () => {
      await redis.ask('ACL', 'SETUSER', 'relay', '<first');
      return (await redis.ask('CLIENT', 'LIST')).split('\n').filter(line => line.includes('user=relay')).length === 2;
    });
    const before = stored;
    await waitUntil('mail flows on', () => stored > before + 50);
    stop = true;
    await writers;
    assert.equal((await queue.stats()).totals.accepted, stored);
    await harness.end();
  });
});
