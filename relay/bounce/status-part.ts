/** The part for machines: message/delivery-status (RFC 3464 s2), or message/global-delivery-status (RFC 6533 s4). */
import type { MessageRecord } from '../queue/queue.ts';
import { formatReply } from '../smtp/reply.ts';
import { decodeXtext } from '../smtp/xtext.ts';
import type { Action, RecipientEvent } from './decision.ts';
import { formatDate, formatField, isAscii, quoteAddress, quoteText, toAscii } from './text.ts';

export interface StatusInput {
  readonly hostname: string;
  readonly message: MessageRecord;
  readonly events: readonly RecipientEvent[];
}

export interface StatusPart {
  readonly contentType: string;
  readonly text: string;
}

const statusClass: Readonly<Record<Action, string>> = { failed: '[45]', delayed: '4', delivered: '2', relayed: '2' };
/** Where no reply says more (RFC 3463 s3.1). */
const generalStatus: Readonly<Record<Action, string>> = {
  failed: '5.0.0',
  delayed: '4.0.0',
  delivered: '2.0.0',
  relayed: '2.0.0',
};

export function formatStatusPart({ hostname, message, events }: StatusInput): StatusPart {
  const global = !events.every(({ recipient }) => isAscii(`${recipient.forwardPath}${recipient.orcpt ?? ''}`));
  const text = global ? quoteText : (value: string): string => toAscii(quoteText(value));
  const groups = [
    formatFields([
      ['Reporting-MTA', `dns; ${text(hostname)}`],
      ['Original-Envelope-Id', message.sender.envid === undefined ? undefined : text(message.sender.envid)],
      ['Arrival-Date', formatDate(message.receivedTimeMs)],
    ]),
    ...events.map(event => formatRecipient(event, text)),
  ];
  return {
    contentType: global ? 'message/global-delivery-status' : 'message/delivery-status',
    text: groups.join('\r\n'),
  };
}

/** RFC 3464 s2.3.4: three numbers; the next hop's where it gave them and they fit what happened. */
export function statusOf({ action, reply, reason }: RecipientEvent): string {
  const given = reply?.enhanced ?? '';
  if (new RegExp(`^${statusClass[action]}\\.[0-9]{1,3}\\.[0-9]{1,3}$`).test(given)) return given;
  // RFC 3463 s3.5: X.4.7, delivery time expired.
  if (reason === 'Expired') return '4.4.7';
  return action === 'failed' && reply !== undefined && reply.code < 500 ? '4.0.0' : generalStatus[action];
}

function formatRecipient(event: RecipientEvent, text: (value: string) => string): string {
  const { recipient, action, remoteMta, willRetryUntilMs } = event;
  const original = formatFields([['Original-Recipient', formatOriginalRecipient(recipient.orcpt, text)]]);
  const outcome = formatFields([
    ['Action', action],
    ['Status', statusOf(event)],
    ['Remote-MTA', remoteMta === undefined ? undefined : `dns; ${text(remoteMta)}`],
    ['Diagnostic-Code', formatDiagnostic(event, text)],
    ['Last-Attempt-Date', formatDate(event.lastAttemptTimeMs)],
    ['Will-Retry-Until', willRetryUntilMs === undefined ? undefined : formatDate(willRetryUntilMs)],
    // RFC 3464 s2.2 lets extensions begin with X-: the reason as our logs, metrics and runbook name it.
    ['X-Postroad-Reason', event.reason === '' ? undefined : text(event.reason)],
  ]);
  return `${original}${formatFinalRecipient(recipient.forwardPath)}${outcome}`;
}

/** RFC 3464 s2.3.6: the next hop's words are `smtp`; without a next hop they are our own. */
function formatDiagnostic({ reply, remoteMta }: RecipientEvent, text: (value: string) => string): string | undefined {
  if (reply === undefined) return undefined;
  return `${remoteMta === undefined ? 'x-postroad' : 'smtp'}; ${text(formatReply(reply))}`;
}

/** RFC 6533 s3: the type is `utf-8` where the address needs it. Not folded: a quoted local-part may hold spaces. */
function formatFinalRecipient(address: string): string {
  return `Final-Recipient: ${isAscii(address) ? 'rfc822' : 'utf-8'}; ${quoteAddress(address)}\r\n`;
}

/** RFC 3464 s2.3.1: as the sender wrote it, without the xtext. Left out where it says nothing that can be printed. */
function formatOriginalRecipient(orcpt: string | undefined, text: (value: string) => string): string | undefined {
  const [, type, encoded] = /^([A-Za-z0-9-]{1,60});(.+)$/s.exec(orcpt ?? '') ?? [];
  if (type === undefined || encoded === undefined) return undefined;
  const address = text(decodeXtext(encoded) ?? encoded);
  return address === '' ? undefined : `${type}; ${address}`;
}

function formatFields(fields: readonly (readonly [name: string, value: string | undefined])[]): string {
  return fields.map(([name, value]) => (value === undefined ? '' : formatField(name, value))).join('');
}
