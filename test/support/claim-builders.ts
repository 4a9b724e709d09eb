/** Claims that no queue gave, for tests of what is done with one: of one message from nobody to one recipient, with nothing in it. */
import type { Claim, MessageRecord, QueuedRecipient } from '../../relay/queue/queue.ts';
import { MemoryContent } from '../../relay/queue/sqlite/content.ts';

type ClaimChanges = Partial<Omit<Claim, 'message'>> & { readonly message?: Partial<MessageRecord> };

const destination = 'direct/dest.test';
const never = 1e15;

/** The message has the name of the token, unless told otherwise. */
export function buildClaim({ message, token = 'token', ...changes }: ClaimChanges = {}): Claim {
  return {
    token,
    message: {
      id: token,
      sender: { reversePath: null, body: '7BIT', smtputf8: false, requireTls: false },
      tenant: 't',
      policy: null,
      receivedTimeMs: 0,
      expiryTimeMs: never,
      ...message,
    },
    head: Buffer.alloc(0),
    content: new MemoryContent(Buffer.alloc(0)),
    destination,
    recipients: [buildQueued()],
    dueTimeMs: 0,
    leaseExpiryTimeMs: never,
    ...changes,
  };
}

export function buildQueued(changes: Partial<QueuedRecipient> = {}): QueuedRecipient {
  return {
    index: 0,
    forwardPath: 'a@dest.test',
    domain: 'dest.test',
    destination,
    notify: [],
    attempts: 0,
    delayWarned: false,
    ...changes,
  };
}
