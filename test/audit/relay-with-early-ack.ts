/** The audit's control: the real relay around a queue that says "durable" before it is. The audit must find what this loses. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createLog } from '../../relay/log.ts';
import type { NewMessage, Queue } from '../../relay/queue/queue.ts';
import { startRelay } from '../../relay/relay.ts';

const { values } = parseArgs({
  options: {
    config: { type: 'string', default: '' },
    'data-dir': { type: 'string', default: '' },
  },
});
const log = createLog('info');

/** As on a disk that is slow, so that each kill finds something that was acknowledged and is not durable, also where a busy machine kills late. */
const commitDelayMs = 300;

async function commitLate(queue: Queue, message: NewMessage): Promise<void> {
  await delay(commitDelayMs);
  await queue.enqueue(message);
}

function acknowledgeBeforeCommit(queue: Queue): Queue {
  return {
    openSpool: () => queue.openSpool(),
    enqueue(message) {
      void commitLate(queue, message).catch((error: unknown) =>
        log.error({ error: String(error) }, 'lost after its 250'),
      );
      return Promise.resolve([]);
    },
    claim: request => queue.claim(request),
    nextDueTimeMs: () => queue.nextDueTimeMs(),
    suspend: (destination, untilMs) => queue.suspend(destination, untilMs),
    renew: (tokens, leaseMs) => queue.renew(tokens, leaseMs),
    settle: settlement => queue.settle(settlement),
    hold: filter => queue.hold(filter),
    release: filter => queue.release(filter),
    retryNow: filter => queue.retryNow(filter),
    list: (filter, page) => queue.list(filter, page),
    count: filter => queue.count(filter),
    stats: () => queue.stats(),
    probe: () => queue.probe(),
    close: () => queue.close(),
  };
}

const relay = await startRelay({
  configFile: values.config,
  dataDir: values['data-dir'],
  log,
  onFault: error => {
    throw error;
  },
  wrapQueue: acknowledgeBeforeCommit,
});
process.on('SIGTERM', () => void relay.stop(5000));
log.info({ listeners: relay.listeners, http: relay.http }, 'ready');
