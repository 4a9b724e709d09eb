import type { Reply } from '../smtp/reply.ts';

/** What a check of the chain says. `reason` is a metric label and a log field: a closed set, documented below. */
export type Decision<Value = undefined> =
  | { readonly accept: true; readonly value: Value }
  | { readonly accept: false; readonly reason: RejectReason; readonly reply: Reply };

/** Why a session, recipient or message was refused; used alike in logs and metrics. The docs page is made from these sentences. */
export const rejectReasons = {
  NoIdentity:
    'The client did not log in, and no trusted network holds its address. Give the application a user of clients.usersSecretRef.',
  NoPolicy:
    'No DomainPolicy attached to this relay covers the domain. Its owner must write one, or the relay must let it attach.',
  SenderNotAllowed:
    'A DomainPolicy covers the domain of the reverse-path, but does not admit this sender. Its owner can add it to senders.',
  FromNotAllowed: 'The same for a domain of the From field, or of the Sender field where there is one.',
  MalformedFrom:
    'The From field is missing, or it or the Sender field is repeated or no address list by RFC 5322; receivers could read another author than we checked.',
  MalformedPath: 'The address in MAIL or RCPT is no mailbox by RFC 5321.',
  NoRoute: 'No route leads to the recipient.',
  AuthenticationFailed:
    'User or password wrong. Many of these from one client are an attack, or a password that was rotated.',
  AuthenticationRequired: 'The listener requires a login before MAIL.',
  TlsRequired: 'The listener requires STARTTLS before anything else, or the client tried to log in in the clear.',
  TooBig: 'The message is larger than limits.maxMessageSize.',
  TooManyRecipients: 'More than limits.maxRecipients in one message; the client may send the rest in another.',
  TooManySessions: 'The relay, or this client, has as many sessions open as it may.',
  TooManyErrors: 'The client was refused too often in one session.',
  TooManyCommands: 'The client gave too many commands in one session.',
  LineTooLong: 'A command or message line is longer than allowed.',
  BareLineEnding:
    'A bare CR or LF in a command or message: either a sloppy client (lineEndings: Fix repairs it) or an attempt to smuggle.',
  MailLoop: 'The message passed too many relays: two of them hand it to each other.',
  Protocol: 'A command unknown, out of order or malformed.',
  Timeout: 'The client was idle, or the session lasted, too long.',
  QueueFull: 'The queue has no room: see postroad_queue_free_disk_bytes. Clients are told 452 and come back.',
  Overloaded:
    'Sessions that are open hold as much as all together may of long headers and long lists of recipients. Clients are told 452 and come back; ordinary mail is taken.',
  QueueUnavailable: 'The queue could not store the message. Clients are told 451 and come back.',
  Draining: 'The relay is stopping; clients are told 421 and reach another, or this one again later.',
  Internal: 'A fault of ours, in the log under the session. The client is told 451, so nothing is lost.',
} as const;

export type RejectReason = keyof typeof rejectReasons;
