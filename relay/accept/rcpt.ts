/** RCPT TO (RFC 5321 s4.1.1.3) with the parameters of RFC 3461. */
import { checkForwardPath } from '../policy/forward-path.ts';
import type { EnvelopeRecipient, Notify } from '../smtp/envelope.ts';
import { type Path, parsePath } from '../smtp/path.ts';
import { decodeXtext } from '../smtp/xtext.ts';
import { parsePathArgument } from './parameters.ts';
import { type Answer, badAddress, badParameter, refusal, replies, syntax, unknownParameter } from './replies.ts';
import type { Session, Transaction } from './session.ts';

type Parameters = ReadonlyMap<string, string | undefined>;

/** What a recipient takes in memory, apart from its text, which is kept in several forms. */
const recipientBytes = 400;
const nonAscii = /[^\x00-\x7f]/;

export function rcpt(session: Session, argument: string): Answer {
  const { transaction } = session;
  if (transaction === undefined) return replies.noMail;
  if (transaction.incoming !== undefined) return replies.dataAfterBdat;
  const parsed = parsePathArgument(argument, 'TO');
  if (parsed === 'duplicate') return badParameter('a parameter is given twice');
  if (parsed === 'syntax') return syntax('RCPT TO:<address> [parameters], without space before <');
  const dsn = parseDsn(parsed.parameters, transaction.sender.smtputf8);
  if ('wire' in dsn) return dsn;
  const forwardPath = parseForwardPath(session, transaction, parsed.path);
  if ('wire' in forwardPath) return forwardPath;
  const decision = checkForwardPath(session.deps.state().policies, forwardPath);
  if (!decision.accept) return refusal(decision);
  return add(session, transaction, { forwardPath, ...dsn }, recipientBytes + 4 * argument.length);
}

function add(
  session: Session,
  { recipients, memory }: Transaction,
  recipient: EnvelopeRecipient,
  bytes: number,
): Answer {
  const { localPart, domain } = recipient.forwardPath;
  const key = `${localPart}@${domain}`;
  if (recipients.has(key)) return replies.recipientOk;
  // RFC 5321 s4.5.3.1.10: 452, and the client sends the rest in another transaction.
  if (recipients.size >= session.deps.state().config.limits.maxRecipients) return replies.tooManyRecipients;
  if (!memory.take(bytes)) return replies.overloaded;
  recipients.set(key, recipient);
  return replies.recipientOk;
}

function parseForwardPath(session: Session, { sender }: Transaction, text: string): Path | Answer {
  const { smtputf8 } = sender;
  if (!smtputf8 && nonAscii.test(text)) return replies.needSmtputf8;
  // RFC 5321 s4.5.1: Postmaster without a domain is the one of this host.
  const address = text.toLowerCase() === 'postmaster' ? `${text}@${session.deps.state().config.hostname}` : text;
  return parsePath(address, { smtputf8 }) ?? badAddress('recipient');
}

interface Dsn {
  notify: readonly Notify[];
  orcpt?: string;
}

function parseDsn(parameters: Parameters, smtputf8: boolean): Dsn | Answer {
  const dsn: Dsn = { notify: [] };
  for (const [keyword, value] of parameters) {
    if (keyword === 'NOTIFY') {
      const notify = parseNotify(value);
      if (notify === undefined) return badParameter('NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY');
      dsn.notify = notify;
    } else if (keyword === 'ORCPT') {
      if (value === undefined || !isOrcpt(value, smtputf8)) return badParameter('ORCPT is TYPE;ADDRESS in xtext');
      dsn.orcpt = value;
    } else return unknownParameter(keyword);
  }
  return dsn;
}

const notifyWords: ReadonlyMap<string, Notify> = new Map([
  ['SUCCESS', 'Success'],
  ['FAILURE', 'Failure'],
  ['DELAY', 'Delay'],
]);

/** RFC 3461 s4.1: NEVER stands alone, the others at most once each. */
function parseNotify(value: string | undefined): readonly Notify[] | undefined {
  const words = value?.toUpperCase().split(',') ?? [];
  if (words.length === 1 && words[0] === 'NEVER') return ['Never'];
  const notify = words.map(word => notifyWords.get(word));
  const all = notify.filter(word => word !== undefined);
  return all.length > 0 && all.length === notify.length && new Set(all).size === all.length ? all : undefined;
}

/** RFC 3461 s4.2: at most 500 characters; RFC 6533 s3 for the type utf-8, whose address may be UTF-8 itself under SMTPUTF8. */
function isOrcpt(value: string, smtputf8: boolean): boolean {
  const [, type, address] = /^([A-Za-z0-9][A-Za-z0-9-]*);(.+)$/u.exec(value) ?? [];
  if (type === undefined || address === undefined || value.length > 500) return false;
  if (type.toLowerCase() !== 'utf-8') return decodeXtext(address) !== undefined;
  return (smtputf8 || !nonAscii.test(address)) && !/[\p{C}\p{Z}]/u.test(address);
}
