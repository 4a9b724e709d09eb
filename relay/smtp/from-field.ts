/**
 * The From field (RFC 5322 s3.6.2): whose message this claims to be.
 *
 * This decides who may send as whom, so it is deliberately not a lenient parser: wherever two receivers could take
 * different addresses from the same bytes, one of them sees an address that nobody checked. Whatever is not plainly one
 * field with plainly one or more mailboxes is refused with a sentence that tells the client what to change.
 */
import { isUtf8 } from 'node:buffer';
import { parseMailboxes } from './mailbox-list.ts';
import { headerFields } from './message.ts';
import type { Path } from './path.ts';

export type FromField =
  | { readonly ok: true; readonly authors: readonly Path[] }
  | { readonly ok: false; readonly fault: string };

const maxFieldBytes = 16 * 1024;

/** `block`: the header with or without its blank line. */
export function parseFromHeader(block: Buffer): FromField {
  if (!isCleanHeader(block)) return refuse('the header holds a NUL, or a CR or LF that does not end a line');
  let from: Buffer | undefined;
  let line = 0;
  for (const { name, raw } of headerFields(block)) {
    line += 1;
    // Some receivers end the header here, some skip the line, some take it as part of the field above.
    if (name === '') return refuse(`header field ${line} has no name and colon`);
    if (name !== 'from') continue;
    // RFC 5322 s3.6: exactly one. Receivers differ on whether the first or the last counts.
    if (from !== undefined) return refuse('there is more than one From field');
    from = raw;
  }
  return from === undefined ? refuse('there is no From field') : parseFromField(from);
}

/** `raw`: one From field with its name, its folds and its CRLF. */
export function parseFromField(raw: Buffer): FromField {
  if (raw.length > maxFieldBytes) return refuse(`the From field is longer than ${maxFieldBytes} bytes`);
  if (!/^from:$/i.test(raw.toString('latin1', 0, 5))) return refuse('white space before the colon of the From field');
  const value = raw.subarray(5);
  if (!isUtf8(value)) return refuse('the From field is not valid UTF-8');
  const text = value.toString().replace(/\r\n$/, '');
  // RFC 5322 s3.2.2: a fold holds more than white space. A line of white space ends the header for some receivers.
  if (/\r\n[ \t]*(?:\r\n|$)/.test(text)) return refuse('a line of the From field is empty');
  const unfolded = text.replaceAll('\r\n', '');
  if (/[^\P{Cc}\t]/u.test(unfolded)) return refuse('the From field holds a control character');
  const parsed = parseMailboxes(unfolded);
  return parsed.ok ? { ok: true, authors: parsed.mailboxes } : refuse(`the From field is not valid: ${parsed.fault}`);
}

function refuse(fault: string): FromField {
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
