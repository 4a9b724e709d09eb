/**
 * The From and Sender fields (RFC 5322 s3.6.2): whose message this claims to be, and who claims to have sent it for them.
 *
 * This decides who may send as whom, so it is deliberately not a lenient parser: wherever two receivers could take
 * different addresses from the same bytes, one of them sees an address that nobody checked. Whatever is not plainly one
 * field with plainly one or more mailboxes is refused with a sentence that tells the client what to change.
 */
import { isUtf8 } from 'node:buffer';
import { type Mailboxes, parseMailboxes } from './mailbox-list.ts';
import { headerFields } from './message.ts';
import type { Path } from './path.ts';

export type FromField =
  | { readonly ok: true; readonly authors: readonly Path[]; readonly sender: Path | undefined }
  | { readonly ok: false; readonly fault: string };

const maxFieldBytes = 16 * 1024;
const colon = 0x3a;
const titles: ReadonlyMap<string, string> = new Map([
  ['from', 'From'],
  ['sender', 'Sender'],
]);

/** `block`: the header with or without its blank line. */
export function parseFromHeader(block: Buffer): FromField {
  if (!isCleanHeader(block)) return refuse('the header holds a NUL, or a CR or LF that does not end a line');
  const found = new Map<string, Buffer>();
  let line = 0;
  for (const { name, raw } of headerFields(block)) {
    line += 1;
    // Some receivers end the header here, some skip the line, some take it as part of the field above.
    if (name === '') return refuse(`header field ${line} has no name and colon`);
    const title = titles.get(name);
    if (title === undefined) continue;
    // RFC 5322 s3.6: at most one. Receivers differ on whether the first or the last counts.
    if (found.has(title)) return refuse(`there is more than one ${title} field`);
    found.set(title, raw);
  }
  const from = found.get('From');
  if (from === undefined) return refuse('there is no From field');
  const authors = parseField('From', from);
  if (!authors.ok) return authors;
  const sender = parseSender(found.get('Sender'));
  return sender.ok ? { ok: true, authors: authors.mailboxes, sender: sender.mailboxes[0] } : sender;
}

/** Some readers show it in front of From, as in "sender on behalf of author". */
function parseSender(raw: Buffer | undefined): Mailboxes {
  if (raw === undefined) return { ok: true, mailboxes: [] };
  const parsed = parseField('Sender', raw);
  return parsed.ok && parsed.mailboxes.length !== 1 ? refuse('the Sender field names more than one mailbox') : parsed;
}

/** `raw`: the field with its name, its folds and its CRLF. */
function parseField(title: string, raw: Buffer): Mailboxes {
  if (raw.length > maxFieldBytes) return refuse(`the ${title} field is longer than ${maxFieldBytes} bytes`);
  if (raw[title.length] !== colon) return refuse(`white space before the colon of the ${title} field`);
  const value = raw.subarray(title.length + 1);
  if (!isUtf8(value)) return refuse(`the ${title} field is not valid UTF-8`);
  const text = value.toString().replace(/\r\n$/, '');
  // RFC 5322 s3.2.2: a fold holds more than white space. A line of white space ends the header for some receivers.
  if (/\r\n[ \t]*(?:\r\n|$)/.test(text)) return refuse(`a line of the ${title} field is empty`);
  const unfolded = text.replaceAll('\r\n', '');
  if (/[^\P{Cc}\t]/u.test(unfolded)) return refuse(`the ${title} field holds a control character`);
  const parsed = parseMailboxes(unfolded);
  return parsed.ok ? parsed : refuse(`the ${title} field is not valid: ${parsed.fault}`);
}

function refuse(fault: string): { readonly ok: false; readonly fault: string } {
  return { ok: false, fault };
}

/** Without a NUL and without a bare CR or LF (RFC 5322 s2.2), either of which ends lines and strings for some receivers only. */
function isCleanHeader(block: Buffer): boolean {
  if (block.includes(0)) return false;
  for (let feed = block.indexOf(0x0a); feed !== -1; feed = block.indexOf(0x0a, feed + 1)) {
    if (block[feed - 1] !== 0x0d) return false;
  }
  for (let cr = block.indexOf(0x0d); cr !== -1; cr = block.indexOf(0x0d, cr + 1)) {
    if (block[cr + 1] !== 0x0a) return false;
  }
  return true;
}
