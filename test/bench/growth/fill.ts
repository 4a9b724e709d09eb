/** `node fill.ts FOLDER MESSAGES DESTINATIONS`: a queue on a volume with so many messages of 1 KiB that are due, and no clean end. */
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { message } from '../queue-message.ts';

/** Many share a sync. */
const writers = 2000;
const [dataDir = '', messages, destinations] = process.argv.slice(2);
const queue = await openVolumeQueue({ dataDir, minFreeDiskBytes: () => 0 });
let n = 0;

async function write(): Promise<void> {
  while (n < Number(messages)) {
    n += 1;
    const domain = `d${n % Number(destinations)}.example.net`;
    await queue.enqueue(message(1024, `direct/${domain}`, domain));
  }
}

await Promise.all(Array.from({ length: writers }, write));
process.kill(process.pid, 'SIGKILL');
