/**
 * Whatever a DSN quotes (addresses, replies of strangers, envelope ids) was written by somebody else. It comes in through
 * here: one line, bounded, without anything that could begin a header field, a MIME part or a terminal escape.
 */

/** Control and format characters, line and paragraph separators, lone surrogates, unassigned code points. */
const unsafe = /[\p{C}\p{Zl}\p{Zp}]+/gu;
const maxQuotedLength = 1000;
/** RFC 5322 s2.1.1 wants 78, and never more than 998. */
const lineLength = 76;
const maxWordBytes = 900;

/** One line of at most `maxQuotedLength` characters. */
export function quoteText(value: string): string {
  // Cut before and after: the first keeps the work bounded, the second the result.
  const clean = value
    .slice(0, 4 * maxQuotedLength)
    .replaceAll(unsafe, ' ')
    .replaceAll(/\s+/gu, ' ')
    .trim();
  return clean.length <= maxQuotedLength ? clean : `${clean.slice(0, maxQuotedLength).trimEnd()}...`.toWellFormed();
}

/** An address keeps its spaces, which a quoted local-part may hold. */
export function quoteAddress(value: string): string {
  const clean = value.slice(0, maxQuotedLength).replaceAll(unsafe, '?');
  return splitLongWord(clean)[0] ?? '';
}

export function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}

/** For fields that may only hold ASCII (RFC 3464 s2.1). */
export function toAscii(text: string): string {
  return text.replaceAll(/[^\x00-\x7f]/gu, '?');
}

/** A header field of a value that `quoteText` has seen, folded at white space (RFC 5322 s2.2.3), with its CRLF. */
export function formatField(name: string, value: string): string {
  return `${wrap(`${name}: ${value}`).join('\r\n ')}\r\n`;
}

/** Lines of whole words. */
export function wrap(text: string, width = lineLength): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap(splitLongWord)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function splitLongWord(word: string): string[] {
  if (Buffer.byteLength(word) <= maxWordBytes) return [word];
  const parts: string[] = [];
  let part = '';
  let partBytes = 0;
  for (const character of word) {
    const bytes = Buffer.byteLength(character);
    if (partBytes + bytes > maxWordBytes) {
      parts.push(part);
      part = '';
      partBytes = 0;
    }
    part += character;
    partBytes += bytes;
  }
  return [...parts, part];
}

/** RFC 5322 s3.3, in UTC. */
export function formatDate(timeMs: number): string {
  return new Date(timeMs).toUTCString().replace(/GMT$/, '+0000');
}
