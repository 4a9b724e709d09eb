import type { Reply } from '../smtp/reply.ts';

/** What a check of the chain says. `reason` is a metric label and a log field: a closed set, documented in docs/. */
export type Decision<Value = undefined> =
  | { readonly accept: true; readonly value: Value }
  | { readonly accept: false; readonly reason: RejectReason; readonly reply: Reply };

/** Why a session, recipient or message was refused; used alike in logs, metrics and the docs. */
export type RejectReason =
  | 'NoIdentity'
  | 'NoPolicy'
  | 'SenderNotAllowed'
  | 'FromNotAllowed'
  | 'MalformedFrom'
  | 'MalformedPath'
  | 'NoRoute'
  | 'AuthenticationFailed'
  | 'AuthenticationRequired'
  | 'TlsRequired'
  | 'TooBig'
  | 'TooManyRecipients'
  | 'TooManySessions'
  | 'TooManyErrors'
  | 'TooManyCommands'
  | 'LineTooLong'
  | 'BareLineEnding'
  | 'MailLoop'
  | 'Protocol'
  | 'Timeout'
  | 'QueueFull'
  | 'QueueUnavailable'
  | 'Draining'
  | 'Internal';
