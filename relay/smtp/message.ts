/**
 * The header of a message as bytes (RFC 5322 s2.2). Nothing here decodes, copies or changes it: what is looked at is what
 * was received, and what will be sent.
 */
export interface HeaderField {
  /** In lower case, without white space before the colon; empty for a line that is no header field (RFC 5322 s3.6.8). */
  readonly name: string;
  /** The field's bytes with its folds and its final CRLF; a view of the block. */
  readonly raw: Buffer;
}

const endOfHeaderMark = Buffer.from('\r\n\r\n');
const lineFeed = 0x0a;
const space = 0x20;
const tab = 0x09;
const colon = 0x3a;
/** RFC 5322 s2.1.1: no name can be longer than a line. */
const maxNameBytes = 998;

/**
 * Index after the blank line that ends the header, -1 while it is not there. `from`: how many bytes an earlier call has
 * searched in vain, so that a header that arrives in pieces is searched once.
 */
export function endOfHeader(bytes: Buffer, from = 0): number {
  // A message may have no header at all and begin with the blank line.
  if (bytes[0] === 0x0d && bytes[1] === lineFeed) return 2;
  const mark = bytes.indexOf(endOfHeaderMark, Math.max(0, from - endOfHeaderMark.length + 1));
  return mark === -1 ? -1 : mark + endOfHeaderMark.length;
}

/** Header fields in order, up to the blank line or the end of the block. */
export function* headerFields(block: Buffer): Generator<HeaderField> {
  let start = 0;
  while (start < block.length && !isBlankLine(block, start)) {
    let end = endOfLine(block, start);
    // RFC 5322 s2.2.3: a line that begins with white space continues the field above it.
    while (end < block.length && (block[end] === space || block[end] === tab)) end = endOfLine(block, end);
    const raw = block.subarray(start, end);
    yield { name: fieldName(raw), raw };
    start = end;
  }
}

/** What follows the colon, unfolded (RFC 5322 s2.2.3), without surrounding white space; one character a byte. */
export function fieldValue(field: HeaderField): string {
  const { raw } = field;
  let start = raw.indexOf(colon) + 1;
  let end = raw.length;
  // Loops and not an expression: one that looks for white space at the end costs the square of the white space elsewhere.
  while (start < end && isWhiteSpace(raw[start])) start += 1;
  while (end > start && isWhiteSpace(raw[end - 1])) end -= 1;
  return raw.toString('latin1', start, end).replaceAll(/\r\n(?=[ \t])/g, '');
}

function isWhiteSpace(byte: number | undefined): boolean {
  return byte === space || byte === tab || byte === 0x0d || byte === lineFeed;
}

function isBlankLine(block: Buffer, at: number): boolean {
  return block[at] === lineFeed || (block[at] === 0x0d && block[at + 1] === lineFeed);
}

function endOfLine(block: Buffer, from: number): number {
  const feed = block.indexOf(lineFeed, from);
  return feed === -1 ? block.length : feed + 1;
}

/** RFC 5322 s3.6.8 field-name; s4.5.8 lets old software put white space before the colon, and some readers still take it. */
function fieldName(raw: Buffer): string {
  let end = raw.indexOf(colon);
  while (end > 0 && (raw[end - 1] === space || raw[end - 1] === tab)) end -= 1;
  if (end < 1 || end > maxNameBytes) return '';
  const name = raw.toString('latin1', 0, end);
  return /^[\x21-\x39\x3b-\x7e]+$/.test(name) ? name.toLowerCase() : '';
}
