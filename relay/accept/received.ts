/** The header fields that we add in front of a message (RFC 5321 s4.4, RFC 5322 s3.6). */
import { isIPv6 } from 'node:net';
import { headerFields } from '../smtp/message.ts';
import type { Origin } from './origin.ts';

/** What end of data needs to know of a header, found in one pass. */
export interface HeaderFacts {
  readonly fields: number;
  readonly received: number;
  readonly hasDate: boolean;
  readonly hasMessageId: boolean;
}

export function inspectHeader(header: Buffer): HeaderFacts {
  let fields = 0;
  let received = 0;
  let hasDate = false;
  let hasMessageId = false;
  for (const { name } of headerFields(header)) {
    fields++;
    if (name === 'received') received++;
    else if (name === 'date') hasDate = true;
    else if (name === 'message-id') hasMessageId = true;
  }
  return { fields, received, hasDate, hasMessageId };
}

/**
 * RFC 5321 s4.4. Names neither the user who logged in nor the recipients: the next reader of the message need not know either.
 */
export function receivedField(
  origin: Origin,
  message: { readonly id: string; readonly timeMs: number; readonly smtputf8: boolean },
): string {
  const { tls } = origin;
  const { hostname } = origin.deps.state().config;
  const tlsComment = tls === undefined ? '' : `\r\n\t(version=${tls.version} cipher=${tls.cipher})`;
  return (
    `Received: from ${fromDomain(origin)} (${addressLiteral(origin.remoteAddress)})\r\n` +
    `\tby ${hostname} (Postroad) with ${protocol(origin, message.smtputf8)} id ${message.id}${tlsComment};\r\n` +
    `\t${formatDate(message.timeMs)}\r\n`
  );
}

/** RFC 6409 s8.1 and s8.2: a submission server completes what a client left out. */
export function missingFields(facts: HeaderFacts, message: { id: string; hostname: string; timeMs: number }): string {
  const date = facts.hasDate ? '' : `Date: ${formatDate(message.timeMs)}\r\n`;
  return facts.hasMessageId ? date : `${date}Message-ID: <${message.id}@${message.hostname}>\r\n`;
}

/** RFC 3848 s1; RFC 6531 s3.7.3 for UTF8SMTP. */
function protocol({ extended, tls, authenticated }: Origin, smtputf8: boolean): string {
  if (!extended) return 'SMTP';
  const base = smtputf8 ? 'UTF8SMTP' : 'ESMTP';
  return `${base}${tls === undefined ? '' : 'S'}${authenticated ? 'A' : ''}`;
}

/** Clients call themselves many things; only a domain or an address literal may stand here (RFC 5321 s4.1.2). */
const domainOrLiteral = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[A-Za-z0-9.:-]+\])$/;

function fromDomain({ helo, remoteAddress }: Origin): string {
  return helo !== undefined && domainOrLiteral.test(helo) ? helo : addressLiteral(remoteAddress);
}

/** RFC 5321 s4.1.3. */
function addressLiteral(address: string): string {
  return isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`;
}

let lastSecond = Number.NaN;
let lastDate = '';

/** RFC 5322 s3.3, in UTC. Many messages share a second. */
function formatDate(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastDate = new Date(timeMs).toUTCString().replace('GMT', '+0000');
  }
  return lastDate;
}
