import { after, before, describe } from 'node:test';
import type { RedisOptions } from '../../../relay/redis/options.ts';
import { programsMissing } from '../../support/programs.ts';
import { type RedisWithSentinels, startSentinels } from '../../support/redis.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { conformance } from './conformance.ts';
import { openRedis } from './redis-harness.ts';

describe('Behind Sentinels', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let redis: RedisWithSentinels;
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    redis = stack.use(await startSentinels(folder.path));
  });
  after(() => stack.disposeAsync());

  const options = (): RedisOptions => ({
    type: 'Sentinel',
    addresses: redis.sentinels.map(({ port }) => ({ host: '127.0.0.1', port })),
    sentinel: { masterName: redis.masterName },
    database: 0,
  });

  conformance('Redis Sentinel', () => openRedis(options()));
});
