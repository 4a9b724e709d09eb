/**
 * Works on a queue until it is killed, and keeps a diary of what it was told. The diary is written with one write call a line,
 * so it survives the process as the queue must.
 *
 *   begun <id>     enqueue is about to be asked           kept <id>     enqueue was acknowledged
 *   ending <id>    settle is about to be asked            ended <id>    settle was acknowledged
 *
 * With `early` it notes `kept` before it has asked: the control that shows that the test can fail.
 */
import { openSync, writeSync } from 'node:fs';
import { systemClock } from '../../../relay/clock.ts';
import type { Claim, Queue } from '../../../relay/queue/queue.ts';
import { openVolumeQueue } from '../../../relay/queue/sqlite/store.ts';
import { crashContent } from './crash-content.ts';
import { contentOf, delivered, message } from './messages.ts';
import { smallWal } from './sqlite-harness.ts';

const [dataDir = '', diaryFile = '', life = '', mode = ''] = process.argv.slice(2);
const diary = openSync(diaryFile, 'a');
const note = (what: string, id: string) => writeSync(diary, `${what} ${id}\n`);
let sent = 0;

async function put(queue: Queue): Promise<Claim[]> {
  sent += 1;
  const id = `${life.padStart(3, '0')}-${String(sent).padStart(8, '0')}`;
  note('begun', id);
  if (mode === 'early') note('kept', id);
  const content = contentOf(crashContent(id, sent % 10 === 0 ? 300_000 : 2000));
  const claims = await queue.enqueue(
    message(systemClock, { id, content }),
    sent % 2 === 0 ? { leaseMs: 60_000 } : undefined,
  );
  if (mode !== 'early') note('kept', id);
  return claims;
}

async function end(queue: Queue, claim: Claim): Promise<void> {
  note('ending', claim.message.id);
  await queue.settle({ claim, outcomes: delivered(claim), messages: [] });
  note('ended', claim.message.id);
}

async function writer(queue: Queue): Promise<never> {
  for (;;) {
    const born = await put(queue);
    const due = sent % 5 === 0 ? await queue.claim({ limit: 2, limitPerDestination: 2, leaseMs: 60_000 }) : [];
    for (const claim of [...born, ...due]) await end(queue, claim);
  }
}

const queue = await openVolumeQueue({ dataDir, minFreeDiskBytes: () => 0, ...smallWal });
process.stdout.write('open\n');
await Promise.all(Array.from({ length: 20 }, () => writer(queue)));
