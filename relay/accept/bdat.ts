/** BDAT (RFC 3030 s2). */
import { openMessage } from './data.ts';
import { answerToFault } from './fault.ts';
import { Incoming } from './incoming.ts';
import { type Answer, replies } from './replies.ts';
import type { Session } from './session.ts';

/** `refusal`: its octets are read and dropped, and then this is said; the client has sent them already. */
export interface Chunk {
  readonly octets: number;
  readonly last: boolean;
  readonly incoming: Incoming | undefined;
  readonly refusal: Answer | undefined;
}

/** A chunk this much beyond the limit on messages is not read to its end. */
const readAnywayFactor = 2;

export function bdat(session: Session, argument: string): Chunk | Answer {
  const [, digits, last] = /^([0-9]{1,15})( +LAST)?$/i.exec(argument) ?? [];
  if (digits === undefined) return replies.badChunk;
  const octets = Number(digits);
  const limit = session.deps.state().config.limits.maxMessageSizeBytes;
  if (octets > readAnywayFactor * limit) return replies.hugeChunk;
  const opened = openChunked(session);
  const chunk = { octets, last: last !== undefined };
  return opened instanceof Incoming
    ? { ...chunk, incoming: opened, refusal: undefined }
    : { ...chunk, incoming: undefined, refusal: opened };
}

/** Whatever goes wrong, the octets that follow are content and not commands. */
function openChunked(session: Session): Incoming | Answer {
  const { transaction } = session;
  const known = transaction?.incoming ?? transaction?.chunkRefusal;
  if (known !== undefined) return known;
  try {
    const opened = openMessage(session, { dotStuffed: false });
    return opened instanceof Incoming ? opened : refuseChunks(session, opened);
  } catch (error) {
    return refuseChunks(session, answerToFault(session, error));
  }
}

/** RFC 3030 s2: after a chunk is refused so are the others; a message may not begin with its second. */
function refuseChunks({ transaction }: Session, refusal: Answer): Answer {
  if (transaction !== undefined) transaction.chunkRefusal = refusal;
  return refusal;
}
