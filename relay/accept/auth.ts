/** AUTH (RFC 4954) with PLAIN (RFC 4616) and LOGIN, which is no standard but all that some clients know. */
import { type Answer, challenge, replies, syntax } from './replies.ts';
import type { Session } from './session.ts';

const maxFailures = 3;
/** `Username:` and `Password:`, as every client of LOGIN expects them. */
const userPrompt = 'VXNlcm5hbWU6';
const passwordPrompt = 'UGFzc3dvcmQ6';

type Exchange = (session: Session, initial: string | undefined) => Answer | Promise<Answer>;

const mechanisms: ReadonlyMap<string, Exchange> = new Map([
  ['PLAIN', plain],
  ['LOGIN', login],
]);

export function auth(session: Session, argument: string): Answer | Promise<Answer> {
  const { listener, tls } = session;
  if (listener.authentication === 'None') return replies.notImplemented;
  if (session.helo === undefined) return replies.noHelo;
  if (session.authenticated) return replies.alreadyAuthenticated;
  // RFC 4954 s4.
  if (session.transaction !== undefined) return replies.authInTransaction;
  const [, name, initial] = /^([A-Za-z0-9_-]{1,20})(?: (\S+))?$/.exec(argument) ?? [];
  if (name === undefined) return syntax('AUTH MECHANISM [initial response]');
  const mechanism = mechanisms.get(name.toUpperCase());
  if (mechanism === undefined) return replies.unknownMechanism;
  if (tls === undefined && listener.plaintextAuthentication === 'Refused') return replies.encryptionForAuth;
  return mechanism(session, initial);
}

/** RFC 4616 s2: [authzid] NUL authcid NUL passwd. */
function plain(session: Session, initial: string | undefined): Answer | Promise<Answer> {
  if (initial === undefined) return challenge('', line => plain(session, line));
  const response = decode(initial);
  if (typeof response !== 'string') return response;
  const [authzid, user, password, ...rest] = response.split('\0');
  if (authzid === undefined || user === undefined || password === undefined || rest.length > 0)
    return replies.badBase64;
  // Nobody may act for another.
  if (authzid !== '' && authzid !== user) return failed(session);
  return verify(session, user, password);
}

function login(session: Session, initial: string | undefined): Answer | Promise<Answer> {
  if (initial === undefined) return challenge(userPrompt, line => login(session, line));
  const user = decode(initial);
  if (typeof user !== 'string') return user;
  return challenge(passwordPrompt, line => {
    const password = decode(line);
    return typeof password === 'string' ? verify(session, user, password) : password;
  });
}

async function verify(session: Session, user: string, password: string): Promise<Answer> {
  const { state, authenticator, log } = session.deps;
  const result = await authenticator.verify(state().secrets.users, { user, password });
  if (result === 'Wrong') return failed(session);
  if (result === 'Unavailable') return replies.authUnavailable;
  session.user = user;
  log.info({ session: session.id, user }, 'authenticated');
  return replies.authenticated;
}

function failed(session: Session): Answer {
  session.failedLogins++;
  return session.failedLogins >= maxFailures ? replies.tooManyFailures : replies.badCredentials;
}

/** RFC 4954 s4: `=` is an empty response, `*` cancels. */
function decode(response: string): string | Answer {
  if (response === '*') return replies.authCancelled;
  if (response === '=') return '';
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(response)) return replies.badBase64;
  const bytes = Buffer.from(response, 'base64');
  const text = bytes.toString('utf8');
  return Buffer.byteLength(text) === bytes.length && !text.includes('\ufffd') ? text : replies.badBase64;
}
