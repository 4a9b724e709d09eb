/** A command line, and what is to be done about it. */
import { isAscii, isUtf8 } from 'node:buffer';
import { bdat, type Chunk } from './bdat.ts';
import { allowedBeforeTls, commands, mayStartTls } from './commands.ts';
import { data } from './data.ts';
import type { Incoming } from './incoming.ts';
import { type Answer, replies, syntax } from './replies.ts';
import type { Session } from './session.ts';

/** An Incoming: DATA, whose content follows. A Chunk: BDAT, whose octets follow. */
export type Step = Answer | Promise<Answer> | Incoming | Chunk | 'StartTls';

const control = /[\x00-\x1f\x7f]/;
const httpRequest = /^[A-Z]+ \S+ HTTP\/1\.[01]$/;

/** @throws QueueFullError, or any fault of ours. */
export function interpret(session: Session, line: Buffer): Step {
  const ascii = isAscii(line);
  // RFC 6531 s3.3: what is not ASCII is UTF-8.
  if (!ascii && !isUtf8(line)) return replies.notUtf8;
  const text = line.toString(ascii ? 'latin1' : 'utf8');
  if (control.test(text)) return replies.controlCharacter;
  const space = text.indexOf(' ');
  const verb = (space === -1 ? text : text.slice(0, space)).toUpperCase();
  if (session.listener.tls === 'Required' && session.tls === undefined && !allowedBeforeTls.has(verb)) {
    return replies.tlsRequired;
  }
  // RFC 5321 s4.1.1: trailing white space is tolerated.
  return dispatch(session, verb, space === -1 ? '' : text.slice(space + 1).trimEnd());
}

function dispatch(session: Session, verb: string, argument: string): Step {
  switch (verb) {
    case 'DATA':
      return data(session, argument);
    case 'BDAT':
      return bdat(session, argument);
    case 'STARTTLS':
      return startTls(session, argument);
  }
  const command = commands.get(verb);
  if (command !== undefined) return command(session, argument);
  // A web page can make a browser speak to any port; none of what it sends may be taken for mail.
  return httpRequest.test(`${verb} ${argument}`) ? replies.http : replies.unknownCommand;
}

/** RFC 3207 s4. */
function startTls(session: Session, argument: string): Answer | 'StartTls' {
  if (argument !== '') return syntax('STARTTLS');
  if (session.tls !== undefined) return replies.tlsActive;
  if (!mayStartTls(session)) return replies.noStartTls;
  return session.deps.state().secrets.tls === undefined ? replies.noTls : 'StartTls';
}
