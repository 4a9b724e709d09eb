/** The third part: the message that the DSN is about, whole where the sender asked for it and it is small, else its header. */
import { isAscii, isUtf8 } from 'node:buffer';
import type { Claim } from '../queue/queue.ts';
import { endOfHeader, fieldValue, headerFields } from '../smtp/message.ts';
import { encodeQuotedPrintable } from './quoted-printable.ts';

export interface OriginalPart {
  readonly contentType: string;
  readonly encoding: '7bit' | '8bit' | 'quoted-printable';
  readonly body: Buffer;
}

/** Of the original, and of the memory that a DSN takes. */
export const maxReturnedBytes = 64 * 1024;
/** RFC 5322 s2.1.1. */
const maxLineBytes = 998;

type Original = Pick<Claim, 'head' | 'content'>;

/** At most the first `maxReturnedBytes` of what was sent; `whole` says whether that is all of it. */
export async function readOriginal({ head, content }: Original): Promise<{ bytes: Buffer; whole: boolean }> {
  const chunks = [head.subarray(0, maxReturnedBytes)];
  let room = maxReturnedBytes - head.length;
  for await (const chunk of content.read()) {
    if (room <= 0) break;
    chunks.push(chunk.subarray(0, room));
    room -= chunk.length;
  }
  return { bytes: Buffer.concat(chunks), whole: head.length + content.sizeBytes <= maxReturnedBytes };
}

export function originalPart(original: { bytes: Buffer; whole: boolean }, returnFull: boolean): OriginalPart {
  const { bytes, whole } = original;
  const header = wholeFields(bytes);
  const headerText = charsetOf(header);
  if (returnFull && whole && headerText !== 'unknown' && isSendable(bytes)) {
    // RFC 6532 s3.7: a header in UTF-8 makes it message/global.
    const contentType = headerText === 'ascii' ? 'message/rfc822' : 'message/global';
    return { contentType, encoding: charsetOf(bytes) === 'ascii' ? '7bit' : '8bit', body: bytes };
  }
  if (headerText === 'utf-8' && isSendable(header)) {
    return { contentType: 'message/global-headers', encoding: '8bit', body: header };
  }
  if (headerText === 'ascii' && isSendable(header)) {
    return { contentType: 'text/rfc822-headers', encoding: '7bit', body: header };
  }
  // RFC 6522 s4: a broken header is encoded to make it legal.
  const body = Buffer.from(encodeQuotedPrintable(header));
  return { contentType: 'text/rfc822-headers', encoding: 'quoted-printable', body };
}

/** The original's Message-ID where it is one that can stand in our header (RFC 5322 s3.6.4). */
export function messageIdOf(bytes: Buffer): string | undefined {
  const field = headerFields(bytes).find(({ name }) => name === 'message-id');
  const id = field === undefined ? '' : fieldValue(field);
  return /^<[\x21-\x3b\x3d\x3f-\x7e]{1,500}>$/.test(id) ? id : undefined;
}

/** The header without its blank line; of one that is cut off, the fields that are whole. */
function wholeFields(bytes: Buffer): Buffer {
  const end = endOfHeader(bytes);
  if (end !== -1) return bytes.subarray(0, end - 2);
  if (bytes.length < maxReturnedBytes) return bytes;
  let length = 0;
  for (const { raw } of headerFields(bytes)) {
    if (length + raw.length === bytes.length) break;
    length += raw.length;
  }
  return bytes.subarray(0, length);
}

function charsetOf(bytes: Buffer): 'ascii' | 'utf-8' | 'unknown' {
  if (isAscii(bytes)) return 'ascii';
  return isUtf8(bytes) ? 'utf-8' : 'unknown';
}

/** RFC 2045 s2.7, s2.8: no NUL, CR and LF only together, lines of at most 998 octets. */
function isSendable(bytes: Buffer): boolean {
  if (bytes.includes(0)) return false;
  let start = 0;
  while (start < bytes.length) {
    const feed = bytes.indexOf(0x0a, start);
    const end = feed === -1 ? bytes.length : feed - 1;
    if (feed !== -1 && bytes[end] !== 0x0d) return false;
    const cr = bytes.indexOf(0x0d, start);
    if (cr !== -1 && cr < end) return false;
    if (end - start > maxLineBytes) return false;
    start = feed === -1 ? bytes.length : feed + 1;
  }
  return true;
}
