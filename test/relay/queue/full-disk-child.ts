/** Enqueues until the disk is full, says how many messages were acknowledged, and waits to be killed. */
import { systemClock } from '../../../relay/clock.ts';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { contentOf, message } from './messages.ts';
import { smallWal } from './sqlite-harness.ts';

const [dataDir = ''] = process.argv.slice(2);
const queue = await openVolumeQueue({ dataDir, minFreeDiskBytes: () => 0, ...smallWal });
let kept = 0;
try {
  for (;;) {
    await queue.enqueue(message(systemClock, { content: contentOf(Buffer.alloc(100_000, 'x')) }));
    kept += 1;
  }
} catch (error) {
  if ((error as { code?: unknown }).code !== 'POSTROAD_QUEUE_FULL') throw error;
}
process.stdout.write(`${kept}\n`);
setInterval(() => undefined, 1000);
