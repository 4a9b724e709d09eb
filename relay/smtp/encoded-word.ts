/** Encoded words (RFC 2047), read to see what a display name says. */

const encodedWord = /=\?([^?\s]*)\?([^?\s]*)\?([^?\s]*)\?=/g;
/** Charsets whose bytes below 128 are ASCII; in others (ISO-2022-JP) such bytes are parts of characters. */
const asciiBased = /^(?:utf-8|us-ascii|iso-8859-\d+|windows-\d+)(?:\*|$)/i;

export function hasEncodedWord(text: string): boolean {
  return text.search(encodedWord) !== -1;
}

/**
 * The text with its encoded words decoded; bytes above 127 are one character each, which is enough to look for ASCII
 * characters. Undefined when one has no such encoding or hides a NUL, CR or LF.
 */
export function decodeEncodedWords(text: string): string | undefined {
  let clean = true;
  const decoded = text.replaceAll(encodedWord, (_, charset: string, encoding: string, payload: string) => {
    const octets = decodePayload(encoding, payload);
    if (octets === undefined || /[\0\r\n]/.test(octets)) clean = false;
    return octets !== undefined && asciiBased.test(charset) ? octets : '?';
  });
  return clean ? decoded : undefined;
}

function decodePayload(encoding: string, payload: string): string | undefined {
  switch (encoding.toUpperCase()) {
    case 'B':
      return Buffer.from(payload, 'base64').toString('latin1');
    case 'Q':
      return payload
        .replaceAll('_', ' ')
        .replaceAll(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    default:
      return undefined;
  }
}
