/** The part for people: what happened, to whom, what the other side said, what to do. */
import { formatReply } from '../smtp/reply.ts';
import { type Action, actionsByGravity, type RecipientEvent } from './decision.ts';
import { type StatusInput, statusOf } from './status-part.ts';
import { formatDate, quoteAddress, quoteText, wrap } from './text.ts';

/** Everyone is in the status part; a person reads the first. */
const maxListed = 50;

const headlines: Readonly<Record<Action, string>> = {
  failed: 'Your message was not delivered to:',
  delayed:
    'Your message is delayed. It is still being tried, you need not send it again. It has not yet been delivered to:',
  delivered: 'Your message was delivered to:',
  relayed: 'Your message was handed on, to a mail system that does not report further, for:',
};

export const subjects: Readonly<Record<Action, string>> = {
  failed: 'Undelivered mail: returned to sender',
  delayed: 'Delayed mail: still being tried',
  delivered: 'Mail delivered',
  relayed: 'Mail handed on',
};

/** What a sender can do, by the subject and detail of the status code (RFC 3463 s3); the first that begins like it. */
const advice: readonly (readonly [prefix: string, text: string])[] = [
  ['1.10', 'that domain takes no mail; check the part after the @.'],
  ['1.2', 'check the part of the address after the @; there is no such domain.'],
  ['1.', 'check the address for typing errors.'],
  ['2.2', 'the mailbox is full; try again later or reach the recipient in another way.'],
  ['2.3', 'make the message smaller, for instance by sending a link in place of an attachment.'],
  ['2.', 'the mailbox takes no mail now; reach the recipient in another way.'],
  ['3.4', 'make the message smaller, for instance by sending a link in place of an attachment.'],
  ['4.7', 'the time for delivery ran out; send it again later, or reach the recipient in another way.'],
  ['4.', "the recipient's mail system could not be reached; send it again later."],
  [
    '7.',
    "the recipient's mail system refuses this mail by its rules; its answer may say why. Tell whoever runs your mail.",
  ],
];

export function formatHumanPart({ hostname, message, events }: StatusInput): string {
  const listed = actionsByGravity.flatMap(action => {
    const same = events.filter(event => event.action === action);
    return same.length === 0 ? [] : [...wrap(headlines[action]), '', ...formatList(same)];
  });
  const envelopeId = message.sender.envid === undefined ? '' : `, envelope id ${quoteText(message.sender.envid)}`;
  return [
    ...wrap(`This is the mail system ${quoteText(hostname)}.`),
    '',
    ...listed,
    ...wrap(`It received your message on ${formatDate(message.receivedTimeMs)} (id ${message.id}${envelopeId}).`),
    'A report for mail programs and a copy of what you sent (or its header) follow.',
    '',
  ].join('\r\n');
}

function formatList(events: readonly RecipientEvent[]): string[] {
  const lines = events.slice(0, maxListed).flatMap(formatEvent);
  const left = events.length - maxListed;
  return left > 0 ? [...lines, `  and ${left} more, named in the report below.`, ''] : lines;
}

function formatEvent(event: RecipientEvent): string[] {
  const { recipient, action, reply, remoteMta, willRetryUntilMs } = event;
  const lines = [`<${quoteAddress(recipient.forwardPath)}>`];
  if (event.reason === 'Expired') lines.push(`  It was tried until ${formatDate(event.lastAttemptTimeMs)}, in vain.`);
  if (reply !== undefined && action !== 'delivered') {
    const who = remoteMta === undefined ? 'Reason' : `${quoteText(remoteMta)} said`;
    lines.push(...wrap(`${who}: ${quoteText(formatReply(reply))}`, 70).map(line => `  ${line}`));
  }
  if (action === 'failed')
    lines.push(...wrap(`What to do: ${adviceFor(statusOf(event))}`, 70).map(line => `  ${line}`));
  if (willRetryUntilMs !== undefined) lines.push(`  It will be tried until ${formatDate(willRetryUntilMs)}.`);
  return [...lines.map(line => `  ${line}`), ''];
}

function adviceFor(status: string): string {
  const detail = status.slice(2);
  const found = advice.find(([prefix]) => (prefix.endsWith('.') ? detail.startsWith(prefix) : detail === prefix));
  return found?.[1] ?? 'reach the recipient in another way, or tell whoever runs your mail.';
}
