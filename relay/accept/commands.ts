/** The commands that are answered at once. Those that change how bytes are read are the connection's. */
import { auth } from './auth.ts';
import { mail } from './mail.ts';
import { rcpt } from './rcpt.ts';
import { type Answer, ehlo, helo, replies, syntax } from './replies.ts';
import type { Session } from './session.ts';

export type Command = (session: Session, argument: string) => Answer | Promise<Answer>;

export const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['EHLO', sayEhlo],
  ['HELO', sayHelo],
  ['MAIL', mail],
  ['RCPT', rcpt],
  ['AUTH', auth],
  ['RSET', rset],
  ['NOOP', () => replies.ok],
  ['HELP', () => replies.help],
  ['VRFY', (_, argument) => (argument === '' ? syntax('VRFY ADDRESS') : replies.vrfy)],
  // RFC 5321 s7.3: who is on a list is nobody's business here.
  ['EXPN', () => replies.notImplemented],
  ['TURN', () => replies.notImplemented],
  ['ETRN', () => replies.notImplemented],
  ['QUIT', () => replies.bye],
]);

/** RFC 3207 s4: what may be said before STARTTLS where TLS is required; HELO, RSET and HELP tell and change nothing that matters. */
export const allowedBeforeTls: ReadonlySet<string> = new Set([
  'EHLO',
  'HELO',
  'STARTTLS',
  'NOOP',
  'RSET',
  'HELP',
  'QUIT',
]);

/** RFC 5321 s4.1.4: a client's name is not checked against its address, and no mail is refused for it; garbage is. */
const clientName = /^[\x21-\x7e]{1,255}$/;

function sayEhlo(session: Session, argument: string): Answer {
  if (!clientName.test(argument)) return syntax('EHLO DOMAIN');
  session.endTransaction();
  session.helo = argument;
  session.extended = true;
  return ehlo(session.deps.state().config.hostname, keywords(session));
}

function sayHelo(session: Session, argument: string): Answer {
  if (!clientName.test(argument)) return syntax('HELO DOMAIN');
  session.endTransaction();
  session.helo = argument;
  session.extended = false;
  return helo(session.deps.state().config.hostname);
}

function rset(session: Session, argument: string): Answer {
  if (argument !== '') return syntax('RSET');
  session.endTransaction();
  return replies.ok;
}

function keywords(session: Session): string[] {
  const { limits } = session.deps.state().config;
  const lines = [
    `SIZE ${limits.maxMessageSizeBytes}`,
    '8BITMIME',
    'SMTPUTF8',
    'PIPELINING',
    'ENHANCEDSTATUSCODES',
    'DSN',
    'CHUNKING',
    // RFC 9422 s4: there is no limit on messages a session, so no MAILMAX.
    `LIMITS RCPTMAX=${limits.maxRecipients}`,
  ];
  // RFC 8689 s2: over TLS only.
  if (session.tls !== undefined) lines.push('REQUIRETLS');
  if (mayStartTls(session)) lines.push('STARTTLS');
  if (mayAuthenticate(session)) lines.push('AUTH PLAIN LOGIN');
  return lines;
}

export function mayStartTls({ tls, listener }: Session): boolean {
  return tls === undefined && listener.tls !== 'Disabled';
}

function mayAuthenticate({ tls, listener, authenticated }: Session): boolean {
  if (listener.authentication === 'None' || authenticated) return false;
  return tls !== undefined || (listener.tls !== 'Required' && listener.plaintextAuthentication === 'Allowed');
}
