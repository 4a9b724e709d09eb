/**
 * A control of the audit over Redis: the real relay on scripts that settle for whoever asks, also under a lease that has ended, and that never asks
 * whether what it holds is still its own.
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { parseConfig } from '../../relay/config.ts';
import { createLog } from '../../relay/log.ts';
import { redisOptions } from '../../relay/queue/open-queue.ts';
import { openRedisQueue } from '../../relay/queue/redis/open.ts';
import { startRelay } from '../../relay/relay.ts';
import { scriptsWithoutFencing } from './scripts-without-fencing.ts';

const { values } = parseArgs({
  options: {
    config: { type: 'string', default: '' },
    'data-dir': { type: 'string', default: '' },
  },
});
const { queue } = parseConfig(JSON.parse(await readFile(values.config, 'utf8')));
if (queue.type !== 'Redis') throw new Error('this control is of a queue in Redis');
const { redis } = queue;
const opened = await openRedisQueue({
  redis: () => redisOptions(redis, { redisCredentials: new Map(), trustAnchors: new Map() }),
  keyPrefix: redis.keyPrefix,
  durability: () => redis,
  dataDir: values['data-dir'],
  minFreeDiskBytes: () => 0,
  scripts: scriptsWithoutFencing(),
});
Object.assign(opened.queue, { leaseEra: () => 0, renew: () => Promise.resolve([]) });
const log = createLog('info');
const relay = await startRelay({
  configFile: values.config,
  dataDir: values['data-dir'],
  log,
  onFault: error => {
    throw error;
  },
  wrapQueue: () => opened.queue,
});
process.on('SIGTERM', () => void relay.stop(5000));
log.info({ listeners: relay.listeners, http: relay.http }, 'ready');
