/** MAIL FROM (RFC 5321 s4.1.1.2) with the parameters of RFC 1870, 3461, 4954, 6152, 6531 and 8689. */
import { checkReversePath } from '../policy/reverse-path.ts';
import type { EnvelopeSender } from '../smtp/envelope.ts';
import { type Path, parsePath } from '../smtp/path.ts';
import { decodeXtext } from '../smtp/xtext.ts';
import { parsePathArgument } from './parameters.ts';
import { type Answer, badAddress, badParameter, refusal, replies, syntax, unknownParameter } from './replies.ts';
import type { Session } from './session.ts';

type Parameters = ReadonlyMap<string, string | undefined>;
type Draft = { -readonly [K in keyof EnvelopeSender]: EnvelopeSender[K] };

const nonAscii = /[^\x00-\x7f]/;

export function mail(session: Session, argument: string): Answer {
  if (session.helo === undefined) return replies.noHelo;
  if (session.transaction !== undefined) return replies.nestedMail;
  if (session.listener.authentication === 'Required' && !session.authenticated) return replies.authenticationRequired;
  const parsed = parsePathArgument(argument, 'FROM');
  if (parsed === 'duplicate') return badParameter('a parameter is given twice');
  if (parsed === 'syntax') return syntax('MAIL FROM:<address> [parameters], without space before <');
  const sender: Draft = { reversePath: null, body: '7BIT', smtputf8: false, requireTls: false };
  const fault = applyParameters(session, parsed.parameters, sender);
  if (fault !== undefined) return fault;
  const path = reversePath(parsed.path, sender.smtputf8);
  if (path !== null && 'wire' in path) return path;
  sender.reversePath = path;
  const { identity } = session;
  const decision = checkReversePath(session.deps.state().policies, identity, path);
  if (!decision.accept) return refusal(decision);
  if (identity === undefined) throw new Error('mail from nobody was accepted');
  session.transaction = {
    identity,
    sender,
    recipients: new Map(),
    memory: session.deps.memory.share(),
    incoming: undefined,
    chunkRefusal: undefined,
  };
  return replies.senderOk;
}

function reversePath(text: string, smtputf8: boolean): Path | null | Answer {
  if (text === '') return null;
  if (!smtputf8 && nonAscii.test(text)) return replies.needSmtputf8;
  return parsePath(text, { smtputf8 }) ?? badAddress('sender');
}

type Apply = (value: string | undefined, draft: Draft, session: Session) => Answer | undefined;

const known: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['SIZE', applySize],
  ['BODY', applyBody],
  ['SMTPUTF8', applySmtputf8],
  ['RET', applyRet],
  ['ENVID', applyEnvid],
  ['REQUIRETLS', applyRequireTls],
  ['AUTH', applyAuth],
]);

function applyParameters(session: Session, parameters: Parameters, draft: Draft): Answer | undefined {
  for (const [keyword, value] of parameters) {
    const apply = known.get(keyword);
    if (apply === undefined) return unknownParameter(keyword);
    const fault = apply(value, draft, session);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** RFC 1870 s6.1: what does not fit is told before it is sent. */
function applySize(value: string | undefined, _: Draft, { deps }: Session): Answer | undefined {
  if (value === undefined || !/^[0-9]{1,20}$/.test(value)) return badParameter('SIZE takes a number of octets');
  return Number(value) > deps.state().config.limits.maxMessageSizeBytes ? replies.tooBig : undefined;
}

/** RFC 6152 s2; BINARYMIME (RFC 3030 s3) is not offered. */
function applyBody(value: string | undefined, draft: Draft): Answer | undefined {
  const body = value?.toUpperCase();
  if (body !== '7BIT' && body !== '8BITMIME') return badParameter('BODY is 7BIT or 8BITMIME');
  draft.body = body;
  return undefined;
}

/** RFC 6531 s3.4. */
function applySmtputf8(value: string | undefined, draft: Draft): Answer | undefined {
  if (value !== undefined) return badParameter('SMTPUTF8 takes no value');
  draft.smtputf8 = true;
  return undefined;
}

/** RFC 3461 s4.3. */
function applyRet(value: string | undefined, draft: Draft): Answer | undefined {
  const ret = value?.toUpperCase();
  if (ret !== 'FULL' && ret !== 'HDRS') return badParameter('RET is FULL or HDRS');
  draft.ret = ret;
  return undefined;
}

/** RFC 3461 s4.4: at most 100 characters, which decode to printable ASCII. */
function applyEnvid(value: string | undefined, draft: Draft): Answer | undefined {
  const envid = value === undefined || value.length > 100 ? undefined : decodeXtext(value);
  if (envid === undefined || !/^[\x20-\x7e]+$/.test(envid))
    return badParameter('ENVID is at most 100 characters of xtext');
  draft.envid = envid;
  return undefined;
}

/** RFC 8689 s2 and s4.1. */
function applyRequireTls(value: string | undefined, draft: Draft, { tls }: Session): Answer | undefined {
  if (value !== undefined) return badParameter('REQUIRETLS takes no value');
  if (tls === undefined) return replies.requireTlsOutsideTls;
  draft.requireTls = true;
  return undefined;
}

/** RFC 4954 s5. Nobody here may vouch for another, so a well-formed value is read and not passed on. */
function applyAuth(value: string | undefined, _: Draft, { listener }: Session): Answer | undefined {
  if (listener.authentication === 'None') return unknownParameter('AUTH');
  const address = value === undefined ? undefined : decodeXtext(value);
  return address === undefined ? badParameter('AUTH is an address in xtext, or <>') : undefined;
}
