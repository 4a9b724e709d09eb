/** Domain names as mail compares them: one normal form, made in one place, so that no two rooms can disagree about whose domain it is. */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';

/** RFC 1035 s2.3.4: 255 octets on the wire are 253 characters of text. */
const maxDomainLength = 253;
/** RFC 5321 s4.1.2 sub-domain: letters, digits and inner hyphens, at most 63 octets (RFC 1035 s2.3.4). */
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const ascii = /^[\x00-\x7f]*$/;
/** What may surround non-ASCII characters; anything else (`%`, `/`, `@`) would mean something to the URL parser below. */
const internationalized = /^(?:[A-Za-z0-9.-]|[^\x00-\x7f])+$/u;

/** Lower case with A-labels (RFC 5890), without brackets or a trailing dot; undefined when it is no domain name of RFC 5321 s4.1.2. */
export function normalizeDomain(text: string): string | undefined {
  // U-labels may be longer than their A-labels, but not by this much.
  if (text.length > 4 * maxDomainLength) return undefined;
  const domain = ascii.test(text) ? text.toLowerCase() : toALabels(text);
  if (domain === undefined || domain.length > maxDomainLength) return undefined;
  const labels = domain.split('.');
  if (!labels.every(part => label.test(part))) return undefined;
  // A name whose last label is a number is an address to half of the world's software and never a host (RFC 1123 s2.1).
  return /^[0-9]+$/.test(labels.at(-1) ?? '') ? undefined : domain;
}

/**
 * Only names that are already in their U-label form (RFC 5891 s5.3): a full-width letter or dot that one peer maps and
 * another does not would name two different domains.
 */
function toALabels(text: string): string | undefined {
  if (!internationalized.test(text)) return undefined;
  const normal = text.normalize('NFC').toLowerCase();
  const domain = domainToASCII(normal);
  return domain !== '' && domainToUnicode(domain) === normal ? domain : undefined;
}

/** `[192.0.2.1]` and `[IPv6:2001:db8::1]` (RFC 5321 s4.1.3) in lower case; no other tag is registered. */
export function normalizeAddressLiteral(text: string): string | undefined {
  if (!text.startsWith('[') || !text.endsWith(']')) return undefined;
  const inner = text.slice(1, -1).toLowerCase();
  const valid = inner.startsWith('ipv6:') ? isIPv6(inner.slice(5)) && !inner.includes('%') : isIPv4(inner);
  return valid ? `[${inner}]` : undefined;
}

/** What a literal in normal form names. */
export function addressOfLiteral(literal: string): { readonly address: string; readonly family: 'ipv4' | 'ipv6' } {
  const inner = literal.slice(1, -1);
  return inner.startsWith('ipv6:')
    ? { address: inner.slice('ipv6:'.length), family: 'ipv6' }
    : { address: inner, family: 'ipv4' };
}

/** `*.example.com` or a domain, in normal form. */
export function normalizeDomainPattern(text: string): string | undefined {
  if (!text.startsWith('*.')) return normalizeDomain(text);
  const parent = normalizeDomain(text.slice(2));
  return parent === undefined ? undefined : `*.${parent}`;
}

/** The patterns that cover a normal domain, nearest first: `a.example.com`, `*.example.com`, `*.com`. */
export function* coveringPatterns(domain: string): Generator<string> {
  yield domain;
  if (domain.startsWith('[')) return;
  for (let dot = domain.indexOf('.'); dot !== -1; dot = domain.indexOf('.', dot + 1)) {
    yield `*${domain.slice(dot)}`;
  }
}

/** The nearest of `patterns` that covers a normal domain. */
export function nearestPattern(patterns: readonly string[], domain: string): string | undefined {
  if (patterns.includes(domain)) return domain;
  const normal = new Set(patterns.map(normalizeDomainPattern));
  return coveringPatterns(domain).find(pattern => normal.has(pattern));
}

/** The domain that a pattern's DNS records stand at: itself, or what follows `*.`. */
export function baseDomain(pattern: string): string {
  return pattern.startsWith('*.') ? pattern.slice(2) : pattern;
}
