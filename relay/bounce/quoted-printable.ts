const maxLineLength = 76;
const cr = 0x0d;
const lf = 0x0a;
const equals = 0x3d;

/** RFC 2045 s6.7 for text with CRLF line ends; a CR or LF that is not part of one is encoded like any other octet. */
export function encodeQuotedPrintable(bytes: Buffer): string {
  const lines: string[] = [];
  let line = '';
  for (let at = 0; at < bytes.length; at += 1) {
    if (bytes[at] === cr && bytes[at + 1] === lf) {
      lines.push(line);
      line = '';
      at += 1;
      continue;
    }
    const text = encodeOctet(bytes, at);
    // Rule (5): a soft line break takes one character itself.
    if (line.length + text.length > maxLineLength - 1) {
      lines.push(`${line}=`);
      line = '';
    }
    line += text;
  }
  return [...lines, line].join('\r\n');
}

function encodeOctet(bytes: Buffer, at: number): string {
  const octet = bytes[at] ?? 0;
  const blank = octet === 0x20 || octet === 0x09;
  // Rule (3): white space at the end of a line would be lost on the way.
  const beforeBreak = at + 1 === bytes.length || (bytes[at + 1] === cr && bytes[at + 2] === lf);
  const literal = blank ? !beforeBreak : octet > 0x20 && octet < 0x7f && octet !== equals;
  return literal ? String.fromCharCode(octet) : `=${octet.toString(16).toUpperCase().padStart(2, '0')}`;
}
