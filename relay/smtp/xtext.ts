/** xtext (RFC 3461 s4): how ENVID and ORCPT carry characters that an SMTP parameter must not hold. */

const validXtext = /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*$/;

/** The octets that an xtext stands for, one character each; undefined when it is no xtext. */
export function decodeXtext(text: string): string | undefined {
  if (!validXtext.test(text)) return undefined;
  return text.replaceAll(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** @throws RangeError for a character above U+00FF: xtext carries octets. */
export function encodeXtext(octets: string): string {
  return octets.replaceAll(/[^\x21-\x2a\x2c-\x3c\x3e-\x7e]/gu, character => {
    const octet = character.codePointAt(0) ?? 0;
    if (octet > 0xff) throw new RangeError('xtext carries octets, not characters above U+00FF');
    return `+${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  });
}
