/**
 * What an attempt can come to, for each recipient, and the closed set of reasons. The reason is the same word in log,
 * metric label, DSN and runbook.
 */
import { isPermanent, type Reply, reply } from '../smtp/reply.ts';

/** Why a recipient is tried again later; each with what it means to the one on call. */
export const deferReasons = {
  DnsUnavailable: 'The resolver did not answer, or said SERVFAIL, for the domain or for all of its MX hosts.',
  ConnectFailed: 'No address of the next hop took a connection.',
  GreetingDeferred: 'The next hop greeted, or answered EHLO, with 4yz.',
  TlsFailed: 'TLS is required or must be verified, and the next hop does not offer it or has the wrong certificate.',
  UpstreamAuthFailed: 'The smart host refused our credentials, or wants some that we do not have.',
  UpstreamRefused: 'The smart host refused our connection with 5yz: our configuration, so nobody is bounced for it.',
  RemoteDeferred: 'The next hop answered MAIL, RCPT, DATA or the message with 4yz.',
  ConnectionLost: 'The connection ended in the middle of a transaction.',
  ConnectionLostAfterData: 'The connection ended after the message, before its reply: the next try may be a duplicate.',
  CommandTimeout: 'The next hop did not reply in time.',
  CommandTimeoutAfterData: 'The next hop did not reply to the message in time: the next try may be a duplicate.',
  ProtocolError: 'The next hop sent something that is not SMTP.',
  MessageUnsafe: 'Content or envelope has a bare CR or LF, which accept refuses: a fault of ours. Nothing was sent.',
  CaptureFailed:
    'The capture folder could not be written, or has no room: captured mail is bounded, and takes nothing while the disk has less than twice minFreeDiskBytes free.',
  RouteMissing: 'The configuration no longer has the route of this message.',
  LaneBackedOff: 'Not tried: the next hop was in trouble a moment ago.',
  LaneFull:
    'Not tried: more is waiting for this next hop than is kept in memory, or other pods have all connections that it may have.',
  ShuttingDown: 'Not tried, or broken off: the relay stops.',
  Internal: 'A fault of ours; the log has it.',
} as const;
export type DeferReason = keyof typeof deferReasons;

/** Why a recipient is given up. */
export const failReasons = {
  NoSuchDomain: 'The domain does not exist (NXDOMAIN).',
  NullMx: 'The domain says that it takes no mail (RFC 7505).',
  NoAddress: 'Neither the domain nor any of its MX hosts has an address.',
  RoutingLoop: 'The best MX host of the domain is this relay.',
  GreetingRejected: 'Every host of the next hop refused the connection with 5yz.',
  RemoteRejected: 'The next hop refused sender, recipient or message with 5yz.',
  Smtputf8Unsupported: 'The message needs SMTPUTF8 and the next hop does not have it (RFC 6531 s3.2).',
  RequireTlsUnsupported:
    'The message asks for REQUIRETLS and the next hop does not have it (RFC 8689 s4.2.1). A report about such a message goes there all the same, by verified TLS (s5).',
  TooBigForNextHop: 'The message is larger than the next hop says it takes (RFC 1870 s6.1).',
  Expired: 'The message is older than its lifetime.',
} as const;
export type FailReason = keyof typeof failReasons;

export interface Delivered {
  readonly index: number;
  readonly result: 'Delivered';
  readonly reply?: Reply;
  /** Who sends the DSN for NOTIFY=SUCCESS: the next hop took the wish over, or we report `relayed` or `delivered` (RFC 3461 s5.2). */
  readonly dsn: 'PassedOn' | 'Relayed' | 'Delivered';
}

export interface Deferred {
  readonly index: number;
  readonly result: 'Deferred';
  readonly reason: DeferReason;
  readonly reply?: Reply;
  /** false: the point of trying was never reached. */
  readonly attempted: boolean;
}

export interface Failed {
  readonly index: number;
  readonly result: 'Failed';
  readonly reason: FailReason;
  readonly reply: Reply;
}

export type RecipientResult = Delivered | Deferred | Failed;

/** What stopped all recipients alike. */
export type Setback =
  | { readonly result: 'Deferred'; readonly reason: DeferReason; readonly reply?: Reply; readonly attempted?: boolean }
  | { readonly result: 'Failed'; readonly reason: FailReason; readonly reply: Reply };

/** Our own words where no next hop spoke; enhanced codes by RFC 3463 and the registry of RFC 5248. */
export const localReplies = {
  NoSuchDomain: reply(550, '5.1.2', 'the domain does not exist'),
  NullMx: reply(556, '5.1.10', 'the domain accepts no mail'),
  NoAddress: reply(550, '5.4.4', 'no mail host of the domain has an address'),
  RoutingLoop: reply(554, '5.4.6', 'the mail host of the domain is this relay itself'),
  Smtputf8Unsupported: reply(553, '5.6.7', 'the next hop does not support internationalized addresses'),
  RequireTlsUnsupported: reply(554, '5.7.30', 'the next hop does not support REQUIRETLS'),
  TooBigForNextHop: reply(552, '5.3.4', 'the message is larger than the next hop accepts'),
} as const satisfies Partial<Record<FailReason, Reply>>;

export function failed(reason: keyof typeof localReplies): Setback {
  return { result: 'Failed', reason, reply: localReplies[reason] };
}

export function deferred(reason: DeferReason, answer?: Reply): Setback {
  return answer === undefined ? { result: 'Deferred', reason } : { result: 'Deferred', reason, reply: answer };
}

/** The point of trying was never reached. */
export function notTried(reason: DeferReason): Setback {
  return { result: 'Deferred', reason, attempted: false };
}

export function setBack(index: number, setback: Setback): Deferred | Failed {
  if (setback.result === 'Failed') return { index, ...setback };
  return { ...setback, index, attempted: setback.attempted ?? true };
}

/**
 * A refusal within a transaction, by RFC 5321 s4.2.1: 4yz is tried again, 5yz is not. Anything else in its place is a
 * fault of the peer and proves nothing against the recipient.
 */
export function refusal(answer: Reply): Setback {
  if (isPermanent(answer)) return { result: 'Failed', reason: 'RemoteRejected', reply: answer };
  if (answer.code >= 400 && answer.code < 500) return deferred('RemoteDeferred', answer);
  return deferred('ProtocolError', answer);
}

/** 530 (RFC 3207, RFC 4954), 534, 535 and 538 (RFC 4954 s6) speak of our login and not of the message. */
export function isLoginRefusal({ code }: Reply): boolean {
  return code === 530 || code === 534 || code === 535 || code === 538;
}
