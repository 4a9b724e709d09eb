/** Encoded words (RFC 2047): reading them to see what a display name says, and writing them for our own header fields. */

const encodedWord = /=\?([^?\s]*)\?([^?\s]*)\?([^?\s]*)\?=/g;
/** Charsets whose bytes below 128 are ASCII; in others (ISO-2022-JP) such bytes are parts of characters. */
const asciiBased = /^(?:utf-8|us-ascii|iso-8859-\d+|windows-\d+)(?:\*|$)/i;
const maxEncodedWordLength = 75;

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

/** Encoded words in UTF-8 and base64, each with whole characters (RFC 2047 s5 (3)), separated by a space. */
export function encodeWords(text: string): string {
  const overhead = '=?utf-8?B??='.length;
  const maxOctets = Math.floor((maxEncodedWordLength - overhead) / 4) * 3;
  const words: string[] = [];
  let word = '';
  for (const character of text) {
    if (Buffer.byteLength(word + character) > maxOctets) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  words.push(word);
  return words.map(part => `=?utf-8?B?${Buffer.from(part).toString('base64')}?=`).join(' ');
}
