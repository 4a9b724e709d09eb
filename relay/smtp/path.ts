import { normalizeAddressLiteral, normalizeDomain } from './domain.ts';

/** A mailbox in a reverse-path or forward-path (RFC 5321 s4.1.2, RFC 6531 s3.3). `null` stands for the null reverse-path. */
export interface Path {
  /** As the peer wrote it, without angle brackets and source route: what is sent onward, byte for byte. */
  readonly text: string;
  /** Unquoted local-part; case is significant (RFC 5321 s2.4). */
  readonly localPart: string;
  /** Lower case, A-labels (RFC 5890), no trailing dot; an address literal keeps its brackets. */
  readonly domain: string;
}

/**
 * Deviation: RFC 5321 s4.5.3.1.1 lets a server stop at 64 octets; bounce addresses that carry a token are longer in real mail,
 * and RFC 5321 s4.5.3.1 asks for no limit where possible. This one keeps a path below two command lines.
 */
const maxLocalPartOctets = 255;
/** RFC 5322 s3.2.3 atext, and any non-ASCII character that is no control and no separator (RFC 6532 s3.1). */
const atext = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";
const utf8 = '[^\\x00-\\x7f\\p{C}\\p{Z}\\ufffd]';
const dotString = new RegExp(`^(?:${atext}|${utf8})+(?:\\.(?:${atext}|${utf8})+)*$`, 'u');
/** RFC 5321 s4.1.2 Quoted-string: qtextSMTP and quoted-pairSMTP. */
const quotedString = new RegExp(`^"(?:[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\x20-\\x7e]|${utf8})*"$`, 'u');
const nonAscii = /[^\x00-\x7f]/;

/** `text` is what stands between the angle brackets, and not empty. Undefined when it is no mailbox, or a UTF-8 one without SMTPUTF8. */
export function parsePath(text: string, options: { readonly smtputf8: boolean }): Path | undefined {
  if (!options.smtputf8 && nonAscii.test(text)) return undefined;
  const mailbox = withoutSourceRoute(text);
  if (mailbox === undefined) return undefined;
  const at = mailbox.lastIndexOf('@');
  if (at < 1) return undefined;
  const localPart = parseLocalPart(mailbox.slice(0, at));
  const host = mailbox.slice(at + 1);
  const domain = host.startsWith('[') ? normalizeAddressLiteral(host) : normalizeDomain(host);
  return localPart === undefined || domain === undefined ? undefined : { text: mailbox, localPart, domain };
}

function parseLocalPart(text: string): string | undefined {
  if (text.length > maxLocalPartOctets || Buffer.byteLength(text) > maxLocalPartOctets) return undefined;
  if (dotString.test(text)) return text;
  return quotedString.test(text) ? text.slice(1, -1).replaceAll(/\\(.)/gsu, '$1') : undefined;
}

/** RFC 5321 s4.1.1.3: a source route is understood, and left out of what is sent on. */
function withoutSourceRoute(text: string): string | undefined {
  if (!text.startsWith('@')) return text;
  const colon = text.indexOf(':');
  const hops = text.slice(0, colon).split(',');
  const valid = colon > 0 && hops.every(hop => hop.startsWith('@') && normalizeDomain(hop.slice(1)) !== undefined);
  return valid ? text.slice(colon + 1) : undefined;
}
