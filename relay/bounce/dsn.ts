/** A DSN as bytes: multipart/report (RFC 6522) of a part for people, one for machines, and the original. */
import { isAscii as isSevenBit } from 'node:buffer';
import type { Path } from '../smtp/path.ts';
import { gravestAction } from './decision.ts';
import { formatHumanPart, subjects } from './human-part.ts';
import type { OriginalPart } from './original-part.ts';
import { encodeQuotedPrintable } from './quoted-printable.ts';
import { formatStatusPart, type StatusInput } from './status-part.ts';
import { formatDate, formatField, isAscii } from './text.ts';

export interface DsnInput extends StatusInput {
  readonly id: string;
  readonly to: Path;
  readonly nowMs: number;
  readonly originalMessageId: string | undefined;
  readonly original: OriginalPart;
}

export interface Dsn {
  readonly header: Buffer;
  readonly body: Buffer;
}

/** `header` ends with the blank line; what is sent is header and body. */
export function formatDsn(input: DsnInput): Dsn {
  const human = formatHumanPart(input);
  const status = formatStatusPart(input);
  const parts = [
    isAscii(human)
      ? formatPart('text/plain; charset=us-ascii', '7bit', Buffer.from(human))
      : formatPart(
          'text/plain; charset=utf-8',
          'quoted-printable',
          Buffer.from(encodeQuotedPrintable(Buffer.from(human))),
        ),
    formatPart(status.contentType, isAscii(status.text) ? '7bit' : '8bit', Buffer.from(status.text)),
    formatPart(input.original.contentType, input.original.encoding, input.original.body),
  ];
  const boundary = chooseBoundary(input.id, parts);
  const delimiter = Buffer.from(`\r\n--${boundary}\r\n`);
  const body = Buffer.concat([
    Buffer.from('This is a delivery status notification in MIME format.\r\n'),
    ...parts.flatMap(part => [delimiter, part]),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  return { header: Buffer.from(formatHeader(input, boundary, !isSevenBit(body))), body };
}

function formatHeader(input: DsnInput, boundary: string, eightBit: boolean): string {
  const { id, hostname, to, nowMs, originalMessageId, events } = input;
  const references =
    originalMessageId === undefined
      ? ''
      : formatField('In-Reply-To', originalMessageId) + formatField('References', originalMessageId);
  return [
    formatField('From', `Mail Delivery System <MAILER-DAEMON@${hostname}>`),
    // Not folded: a quoted local-part may hold spaces.
    `To: <${to.text}>\r\n`,
    formatField('Subject', subjects[gravestAction(events)]),
    formatField('Date', formatDate(nowMs)),
    formatField('Message-ID', `<${id}@${hostname}>`),
    references,
    // RFC 3834 s5: so that no vacation program answers.
    formatField('Auto-Submitted', 'auto-replied'),
    formatField('MIME-Version', '1.0'),
    // RFC 2045 s6.4: a part of 8bit makes the whole 8bit.
    formatField('Content-Transfer-Encoding', eightBit ? '8bit' : '7bit'),
    `Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"\r\n`,
    '\r\n',
  ].join('');
}

function formatPart(contentType: string, encoding: string, body: Buffer): Buffer {
  const header = `${formatField('Content-Type', contentType)}${formatField('Content-Transfer-Encoding', encoding)}\r\n`;
  return Buffer.concat([Buffer.from(header), body]);
}

/** RFC 2046 s5.1.1: the boundary must not occur in what it separates, however cunning the original. */
function chooseBoundary(id: string, parts: readonly Buffer[]): string {
  for (let attempt = 0; ; attempt += 1) {
    const boundary = `=_postroad_${id.replaceAll(/[^A-Za-z0-9]/g, '_').slice(0, 40)}_${attempt}`;
    if (!parts.some(part => part.includes(boundary))) return boundary;
  }
}
