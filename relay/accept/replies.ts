/**
 * Everything that the server says, with its enhanced status code (RFC 3463, RFC 5248), in one table. Text is for the person who
 * reads the client's log: what is wrong and what would be right; never what went wrong inside us.
 */
import type { Decision, RejectReason } from '../policy/decision.ts';
import { type Reply, reply } from '../smtp/reply.ts';

export interface Answer extends Reply {
  /** As sent, CRLF included. */
  readonly wire: string;
  /** Why it is a refusal; undefined when it is none. */
  readonly reason: RejectReason | undefined;
  /** The connection ends after it. */
  readonly close: boolean;
  /** Takes the client's next line, which is no command (RFC 4954 s4). */
  readonly next?: (line: string) => Answer | Promise<Answer>;
}

/** RFC 5321 s4.5.3.1.5: a reply line has at most 512 octets, code and CRLF included. */
const maxTextLength = 480;

function say({ code, enhanced, text }: Reply, reason?: RejectReason, close = false): Answer {
  const lines = text.split('\n').flatMap(foldLine);
  const codes = enhanced === '' ? '' : `${enhanced} `;
  // RFC 2034 s4: every line of a reply carries the enhanced code.
  const wire = lines.map((line, index) => `${code}${index < lines.length - 1 ? '-' : ' '}${codes}${line}\r\n`).join('');
  return { code, enhanced, text, wire, reason, close };
}

/** Control characters would split the reply; non-ASCII is for sessions with SMTPUTF8 only (RFC 6531 s3.7.4.2). */
function foldLine(line: string): string[] {
  const safe = line.replaceAll(/[^\x20-\x7e]/g, '?');
  return safe.length <= maxTextLength ? [safe] : (safe.match(/.{1,480}(?: |$)|.{480}/g) ?? [safe]);
}

const ok = (code: number, enhanced: string, text: string): Answer => say(reply(code, enhanced, text));
const no = (code: number, enhanced: string, text: string, reason: RejectReason = 'Protocol'): Answer =>
  say(reply(code, enhanced, text), reason);
const bye = (code: number, enhanced: string, text: string, reason?: RejectReason): Answer =>
  say(reply(code, enhanced, text), reason, true);

/** A refusal of the policy chain, in the chain's own words. */
export function refusal(decision: Extract<Decision<unknown>, { accept: false }>): Answer {
  return say(decision.reply, decision.reason);
}

// RFC 2034 s4: no enhanced code in the greeting, in replies to HELO and EHLO, and where the class is 3.
export const greeting = (hostname: string): Answer => ok(220, '', `${hostname} ESMTP Postroad`);
export const helo = (hostname: string): Answer => ok(250, '', hostname);
export const ehlo = (hostname: string, keywords: readonly string[]): Answer =>
  ok(250, '', [hostname, ...keywords].join('\n'));
export const challenge = (text: string, next: (line: string) => Answer | Promise<Answer>): Answer => ({
  ...ok(334, '', text),
  next,
});
export const queued = (id: string): Answer => {
  const text = `queued as ${id}`;
  return { code: 250, enhanced: '2.0.0', text, wire: `250 2.0.0 ${text}\r\n`, reason: undefined, close: false };
};
export const syntax = (usage: string): Answer => no(501, '5.5.4', `syntax: ${usage}`);
export const badParameter = (text: string): Answer => no(501, '5.5.4', text);
/** RFC 5321 s4.1.1.11. */
export const unknownParameter = (keyword: string): Answer =>
  no(555, '5.5.4', `parameter ${keyword.slice(0, 40)} is not offered here`);
/** RFC 3463 s3.2: 5.1.7 and 5.1.3 are the syntax of the sender's and of the recipient's address. */
export const badAddress = (place: 'sender' | 'recipient'): Answer =>
  no(
    501,
    place === 'sender' ? '5.1.7' : '5.1.3',
    `${place} address is no mailbox (RFC 5321 section 4.1.2)`,
    'MalformedPath',
  );
export const chunkReceived = (bytes: number): Answer => ok(250, '2.0.0', `${bytes} octets received`);

export const replies = {
  ok: ok(250, '2.0.0', 'OK'),
  // RFC 5321 s3.5.3: 252 for a server that will not say.
  vrfy: ok(252, '2.5.0', 'send some mail and see'),
  help: ok(214, '2.0.0', 'commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\nRFC 5321'),
  bye: bye(221, '2.0.0', 'bye'),
  startTls: ok(220, '2.0.0', 'begin TLS'),
  authenticated: ok(235, '2.7.0', 'authenticated'),
  senderOk: ok(250, '2.1.0', 'sender OK'),
  recipientOk: ok(250, '2.1.5', 'recipient OK'),
  sendData: ok(354, '', 'end with <CRLF>.<CRLF>'),

  unknownCommand: no(500, '5.5.1', 'command not recognized'),
  notImplemented: no(502, '5.5.1', 'command not implemented'),
  lineTooLong: no(500, '5.5.2', 'command line too long', 'LineTooLong'),
  // RFC 4954 s6.
  authLineTooLong: no(500, '5.5.6', 'authentication line too long', 'LineTooLong'),
  controlCharacter: no(501, '5.5.2', 'control characters have no place in a command'),
  notUtf8: no(501, '5.5.2', 'command is not UTF-8'),
  noHelo: no(503, '5.5.1', 'say EHLO or HELO first'),
  nestedMail: no(503, '5.5.1', 'sender already given; RSET begins anew'),
  noMail: no(503, '5.5.1', 'MAIL first'),
  // RFC 5321 s3.3: 554 (or 503) for DATA without valid recipients.
  noRecipients: no(554, '5.5.1', 'no valid recipients'),
  dataAfterBdat: no(503, '5.5.1', 'this message is being sent with BDAT'),
  tlsActive: no(503, '5.5.1', 'TLS is already active'),
  noStartTls: no(502, '5.5.1', 'STARTTLS is not offered here'),
  // RFC 3207 s4.
  tlsRequired: no(530, '5.7.0', 'must issue a STARTTLS command first', 'TlsRequired'),
  // RFC 4954 s6.
  authenticationRequired: no(530, '5.7.0', 'authentication required', 'AuthenticationRequired'),
  encryptionForAuth: no(538, '5.7.11', 'encryption required for AUTH: STARTTLS first', 'TlsRequired'),
  unknownMechanism: no(504, '5.5.4', 'mechanism not offered; PLAIN and LOGIN are'),
  alreadyAuthenticated: no(503, '5.5.1', 'already authenticated'),
  authInTransaction: no(503, '5.5.1', 'AUTH is not permitted during a mail transaction'),
  authCancelled: no(501, '5.7.0', 'authentication cancelled', 'AuthenticationFailed'),
  badBase64: no(501, '5.5.2', 'cannot decode the response', 'AuthenticationFailed'),
  badCredentials: no(535, '5.7.8', 'user name or password is wrong', 'AuthenticationFailed'),
  authUnavailable: no(454, '4.7.0', 'authentication is not possible now; try again', 'Internal'),
  // RFC 6531 s3.5.
  needSmtputf8: no(553, '5.6.7', 'non-ASCII address without SMTPUTF8', 'MalformedPath'),
  // RFC 8689 s2: REQUIRETLS is not offered, so not recognized, outside TLS.
  requireTlsOutsideTls: no(555, '5.5.4', 'REQUIRETLS is offered over TLS only', 'TlsRequired'),
  // RFC 1870 s6.1 and s6.3.
  tooBig: no(552, '5.3.4', 'message exceeds the size limit that EHLO announces', 'TooBig'),
  tooManyRecipients: no(452, '4.5.3', 'too many recipients; send the rest in another transaction', 'TooManyRecipients'),
  headerTooBig: no(552, '5.3.4', 'message header too big', 'TooBig'),
  foldAtStart: no(554, '5.6.0', 'message begins with white space instead of a header field'),
  nul: no(554, '5.6.0', 'message contains NUL (RFC 6152, RFC 2045 section 2.8)'),
  contentLineTooLong: no(554, '5.6.0', 'message contains a line that is too long', 'LineTooLong'),
  // The registry of RFC 5248 has no detail for it; 5.6.0 is "other media error".
  bareLineEnding: no(
    554,
    '5.6.0',
    'message contains a bare CR or LF; lines end with CRLF (RFC 5321 section 2.3.8)',
    'BareLineEnding',
  ),
  mailLoop: no(554, '5.4.6', 'too many Received fields: this message loops', 'MailLoop'),
  queueFull: no(452, '4.3.1', 'the queue is full; try again later', 'QueueFull'),
  overloaded: no(452, '4.3.1', 'too much mail is arriving at once; try again later', 'Overloaded'),
  queueUnavailable: no(451, '4.3.0', 'the message could not be queued; try again later', 'QueueUnavailable'),
  internal: no(451, '4.3.0', 'local error; try again later', 'Internal'),

  // RFC 3030 s2: without the size nobody knows where the next command begins.
  badChunk: bye(501, '5.5.4', 'syntax: BDAT SIZE [LAST]', 'Protocol'),
  hugeChunk: bye(552, '5.3.4', 'chunk exceeds the size limit that EHLO announces', 'TooBig'),
  endOfDataNearMiss: bye(554, '5.6.0', 'end of data is <CRLF>.<CRLF>, with no bare CR or LF', 'BareLineEnding'),
  bareCommand: bye(500, '5.5.2', 'commands end with CRLF and contain no bare CR or LF', 'BareLineEnding'),
  queueStuck: bye(451, '4.3.0', 'the message was not queued in time; try again later', 'QueueUnavailable'),
  earlyTalker: bye(554, '5.5.1', 'you spoke before the greeting', 'Protocol'),
  http: bye(421, '4.7.0', 'this is not an HTTP server', 'Protocol'),
  tooManySessions: bye(421, '4.3.2', 'too many sessions; try again later', 'TooManySessions'),
  tooManyClientSessions: bye(421, '4.7.0', 'too many sessions from your address', 'TooManySessions'),
  tooManyErrors: bye(421, '4.7.0', 'too many errors', 'TooManyErrors'),
  tooManyFailures: bye(421, '4.7.0', 'too many failed logins', 'AuthenticationFailed'),
  tooManyCommands: bye(421, '4.7.0', 'too many commands', 'TooManyCommands'),
  idle: bye(421, '4.4.2', 'idle for too long', 'Timeout'),
  sessionTooLong: bye(421, '4.4.2', 'session open for too long', 'Timeout'),
  draining: bye(421, '4.3.2', 'the relay is going down; try again', 'Draining'),
  noTls: no(454, '4.7.0', 'TLS is not available now', 'Internal'),
} as const satisfies Record<string, Answer>;
