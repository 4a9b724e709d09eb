import { after, before, describe } from 'node:test';
import { conformance } from '../relay/queue/conformance.ts';
import { agreesWithModel } from '../relay/queue/model-suite.ts';
import { openRedis, single } from '../relay/queue/redis-harness.ts';
import { programsMissing } from '../support/programs.ts';
import { type RedisPeer, startRedis } from '../support/redis.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('On one Redis', { skip: programsMissing('redis-server', 'redis-cli') }, () => {
  const stack = new AsyncDisposableStack();
  let redis: RedisPeer;
  before(async () => {
    const folder = stack.use(await temporaryFolder());
    redis = stack.use(await startRedis(folder.path));
  });
  after(() => stack.disposeAsync());

  conformance('Redis', () => openRedis(single(redis.port)));
  agreesWithModel('Redis', () => openRedis(single(redis.port)), 5);
});
