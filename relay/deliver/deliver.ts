/**
 * One attempt: the recipients of one claim over one connection, each with its own result. Called by schedule, which owns
 * connections, leases and what the results lead to. A crash at any point leaves the lease to run out; a connection lost
 * between the end of the message and its reply leads to a second try, which is the only way to a duplicate (G2).
 */
import type { Claim, QueuedRecipient } from '../queue/queue.ts';
import type { Reply } from '../smtp/reply.ts';
import { addressesNeedUtf8, isSafeEnvelope, mailCommand, rcptCommand, unmetNeed } from './command.ts';
import {
  deferred,
  failed,
  isLoginRefusal,
  notTried,
  type RecipientResult,
  refusal,
  type Setback,
  setBack,
} from './outcome.ts';
import type { SmtpSession } from './session.ts';
import type { Fault, TransactionResult } from './transaction.ts';

export interface Attempt {
  readonly results: readonly RecipientResult[];
  /** A reused connection turned out to be dead before it said anything: try again on a fresh one, it was no attempt. */
  readonly stale: boolean;
  /** The next hop closed the connection with 421 (RFC 5321 s3.8). */
  readonly closing: boolean;
  /** What broke, for the log. */
  readonly detail: string | undefined;
}

export interface AttemptOptions {
  readonly smartHost: boolean;
}

/** RFC 5321 s4.5.3.1.8: every host takes a hundred; many refuse more. */
const maxRecipientsPerTransaction = 100;
const tooManyRecipients = 452;
const headerScanBytes = 256 * 1024;

export async function deliver(session: SmtpSession, claim: Claim, options: AttemptOptions): Promise<Attempt> {
  const obstacle = isSafeEnvelope(claim) ? unmetNeed(claim, session.extensions) : deferred('MessageUnsafe');
  if (obstacle !== undefined) return allAlike(claim.recipients, obstacle);
  const utf8 = claim.message.sender.smtputf8 || addressesNeedUtf8(claim);
  if (utf8 && !session.extensions.has('SMTPUTF8') && (await needsUtf8(claim))) {
    return allAlike(claim.recipients, failed('Smtputf8Unsupported'));
  }
  const mail = mailCommand(claim, session.extensions, utf8);
  if (claim.recipients.length <= maxRecipientsPerTransaction) {
    const only = await transact(session, claim, mail, { recipients: claim.recipients, options });
    if (only.again.length === 0) return only.attempt;
    return await deliverRest(session, claim, mail, { before: only.attempt, rest: only.again, options });
  }
  return await deliverRest(session, claim, mail, { before: undefined, rest: claim.recipients, options });
}

interface Rest {
  readonly before: Attempt | undefined;
  readonly rest: readonly QueuedRecipient[];
  readonly options: AttemptOptions;
}

/** RFC 5321 s4.5.3.1.10: those that one transaction had no room for go into the next, at once. */
async function deliverRest(session: SmtpSession, claim: Claim, mail: string, start: Rest): Promise<Attempt> {
  const results = new Map<number, RecipientResult>(start.before?.results.map(result => [result.index, result]));
  let rest = start.rest;
  let last = start.before;
  let first = start.before === undefined;
  while (rest.length > 0 && session.usable) {
    const recipients = rest.slice(0, maxRecipientsPerTransaction);
    const { attempt, again } = await transact(session, claim, mail, { recipients, options: start.options });
    for (const result of attempt.results) results.set(result.index, result);
    last = attempt;
    if (first && attempt.stale) break;
    first = false;
    rest = [...again, ...rest.slice(recipients.length)];
  }
  for (const { index } of claim.recipients) {
    if (!results.has(index)) results.set(index, setBack(index, notTried('ConnectionLost')));
  }
  return {
    results: [...results.values()],
    stale: first && last?.stale === true,
    closing: last?.closing === true,
    detail: last?.detail,
  };
}

interface Part {
  readonly recipients: readonly QueuedRecipient[];
  readonly options: AttemptOptions;
}

async function transact(
  session: SmtpSession,
  claim: Claim,
  mail: string,
  { recipients, options }: Part,
): Promise<{ attempt: Attempt; again: readonly QueuedRecipient[] }> {
  const reused = session.transactions > 0;
  const outcome = await session.transact({
    mail,
    rcpts: recipients.map(recipient => rcptCommand(recipient, session.extensions)),
    head: claim.head,
    content: claim.content,
  });
  const { fault } = outcome;
  const judged = new Judge(session, outcome, options.smartHost);
  const results = recipients.map((recipient, position) => judged.recipient(recipient.index, position));
  const delivered = results.some(({ result }) => result === 'Delivered');
  const again = delivered
    ? recipients.filter((_, position) => outcome.rcpts[position]?.code === tooManyRecipients)
    : [];
  const attempt = {
    results,
    stale: reused && fault !== undefined && isStale(fault),
    closing: fault?.reply !== undefined,
    detail: fault?.detail,
  };
  return { attempt, again };
}

/**
 * A next hop closes idle connections without our knowing. It may in theory have taken a message that was sent in one
 * write and died before it answered anything; then this is a duplicate as G2 allows.
 */
function isStale(fault: Fault): boolean {
  return fault.silent && (fault.reason.startsWith('ConnectionLost') || fault.reply !== undefined);
}

class Judge {
  readonly #session: SmtpSession;
  readonly #outcome: TransactionResult;
  readonly #smartHost: boolean;

  constructor(session: SmtpSession, outcome: TransactionResult, smartHost: boolean) {
    this.#session = session;
    this.#outcome = outcome;
    this.#smartHost = smartHost;
  }

  recipient(index: number, position: number): RecipientResult {
    const { mail, rcpts, end } = this.#outcome;
    if (mail !== undefined && mail.code >= 300) return setBack(index, this.#refusal(mail));
    const rcpt = rcpts[position];
    if (rcpt === undefined) return setBack(index, this.#fault());
    if (rcpt.code >= 300) return setBack(index, this.#refusal(rcpt));
    if (end === undefined) return setBack(index, this.#fault());
    if (end.code >= 300) return setBack(index, this.#refusal(end));
    const dsn = this.#session.extensions.has('DSN') ? 'PassedOn' : 'Relayed';
    return { index, result: 'Delivered', reply: end, dsn };
  }

  #refusal(answer: Reply): Setback {
    if (this.#smartHost && isLoginRefusal(answer)) return deferred('UpstreamAuthFailed', answer);
    // RFC 3207 s4: it wants STARTTLS, which it did not offer or which failed.
    if (answer.code === 530 && this.#session.tls === 'none') return deferred('TlsFailed', answer);
    return refusal(answer);
  }

  #fault(): Setback {
    const { fault } = this.#outcome;
    if (fault === undefined) return deferred('ProtocolError');
    if (fault.reason === 'ShuttingDown') return notTried('ShuttingDown');
    return deferred(fault.reason, fault.reply);
  }
}

export function allAlike(recipients: readonly QueuedRecipient[], setback: Setback): Attempt {
  return {
    results: recipients.map(({ index }) => setBack(index, setback)),
    stale: false,
    closing: false,
    detail: undefined,
  };
}

/** RFC 6531 s3.2: a message that only was allowed to be international, and is not, may go on to any host. */
async function needsUtf8(claim: Claim): Promise<boolean> {
  if (addressesNeedUtf8(claim) || hasHighByte(claim.head)) return true;
  let scanned = Buffer.alloc(0);
  for await (const chunk of claim.content.read()) {
    scanned = Buffer.concat([scanned, chunk]);
    const end = scanned.indexOf('\r\n\r\n');
    if (end >= 0) return hasHighByte(scanned.subarray(0, end));
    if (scanned.length > headerScanBytes) return true;
  }
  return hasHighByte(scanned);
}

function hasHighByte(bytes: Buffer): boolean {
  return bytes.some(byte => byte > 0x7f);
}
