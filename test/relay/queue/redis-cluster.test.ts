import { after, before, describe } from 'node:test';
import type { RedisOptions } from '../../../relay/redis/options.ts';
import { programsMissing } from '../../support/programs.ts';
import { type RedisCluster, startCluster } from '../../support/redis.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { conformance } from './conformance.ts';
import { openRedis } from './redis-harness.ts';

describe('On a Cluster of three', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let cluster: RedisCluster;
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    cluster = stack.use(await startCluster(folder.path));
  });
  after(() => stack.disposeAsync());

  const options = (): RedisOptions => ({
    type: 'Cluster',
    // One is enough: the others are found through it.
    addresses: cluster.nodes.slice(0, 1).map(({ port }) => ({ host: '127.0.0.1', port })),
    database: 0,
  });

  conformance('Redis Cluster', () => openRedis(options()));
});
