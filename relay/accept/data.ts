/** DATA (RFC 5321 s4.1.1.4), and what it has in common with BDAT. */
import { Incoming } from './incoming.ts';
import { type Answer, replies, syntax } from './replies.ts';
import type { Session } from './session.ts';

/** The message whose content follows, or why none may. @throws QueueFullError, or the store's fault. */
export function data(session: Session, argument: string): Incoming | Answer {
  if (argument !== '') return syntax('DATA');
  return openMessage(session, { dotStuffed: true });
}

export function openMessage(session: Session, format: { readonly dotStuffed: boolean }): Incoming | Answer {
  const { transaction } = session;
  if (transaction === undefined) return session.helo === undefined ? replies.noHelo : replies.noMail;
  // RFC 3030 s2: DATA and BDAT cannot be used in the same transaction.
  if (transaction.incoming !== undefined) return replies.dataAfterBdat;
  if (transaction.recipients.size === 0) return replies.noRecipients;
  transaction.incoming = new Incoming(session, transaction, format);
  return transaction.incoming;
}
