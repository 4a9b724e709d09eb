/** What a fault of ours is told as: 4yz, whatever it was, since it is never the client's (G4). */
import { QueueFullError } from '../queue/queue.ts';
import type { Origin } from './origin.ts';
import { type Answer, replies } from './replies.ts';

/** The store failed, for whatever reason but being full. */
class StoreFault extends Error {
  override name = 'StoreFault';
  readonly code = 'POSTROAD_ACCEPT_STORE_FAULT';
}

export function storeFault(cause: unknown): QueueFullError | StoreFault {
  return cause instanceof QueueFullError ? cause : new StoreFault('the queue did not take the message', { cause });
}

/** The cause goes to the log, under the session. */
export function answerToFault({ id, deps }: Pick<Origin, 'id' | 'deps'>, error: unknown): Answer {
  if (error instanceof QueueFullError) return replies.queueFull;
  deps.log.error({ session: id, err: error }, 'command or message failed');
  return error instanceof StoreFault ? replies.queueUnavailable : replies.internal;
}
