/**
 * When certificates and authorities of our own are made anew: pure chains, asked in order; the first that finds something decides.
 *
 * An authority is replaced in steps, each long before the next, so that at no time a client that has read the published authorities once
 * meets a certificate that it does not trust:
 *
 *   Single     one authority, which signs
 *   Announced  the next one is published beside it; the old one still signs      (authorityOverlapMs)
 *   Replaced   the next one signs; the old one stays published until it ends
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type Certificate, type CertificateNames, certificateLifetimeMs, notAfterMs } from './certificate.ts';

const dayMs = 86_400_000;
const renewBeforeMs = 30 * dayMs;
/** Time for clients that read the authorities only when they start. */
export const authorityOverlapMs = 30 * dayMs;
/** Long enough before its end that what it signs on its last day still outlives no authority, with a quarter to spare. */
const announceBeforeMs = authorityOverlapMs + certificateLifetimeMs + 90 * dayMs;

/** Reason -> what it means; they end up in events unchanged. */
export const renewalReasons = {
  CertificateMissing: 'There is no certificate yet.',
  CertificateUnreadable: 'What was kept is no certificate with its key.',
  CertificateKeyMismatch: 'Certificate and key do not belong together.',
  CertificateIssuerReplaced: 'Another authority signs by now.',
  CertificateNamesChanged: 'The certificate lacks a name or address that clients use.',
  CertificateDue: 'The certificate ends within 30 days.',
  AuthorityMissing: 'There is no authority yet.',
  AuthorityAnnounced: 'The authority ends in less than seven months: the next one is made and published beside it.',
  AuthorityReplaced: 'The next authority has been published long enough, and signs from now on.',
  AuthorityEnded: 'An authority that was replaced has ended, and is published no more.',
} as const;
export type RenewalReason = keyof typeof renewalReasons;

export interface Violation {
  readonly reason: RenewalReason;
  readonly message: string;
}

export interface CertificateQuestion {
  readonly certificate: Certificate | undefined;
  readonly authority: Certificate;
  readonly names: CertificateNames;
  readonly nowMs: number;
}

interface Readable extends CertificateQuestion {
  readonly leaf: X509Certificate;
  readonly privateKey: string;
}

/** In this order: each may rely on what those before it made sure of. */
const chain: readonly ((question: Readable) => Violation | undefined)[] = [
  keyMismatch,
  issuerReplaced,
  namesChanged,
  due,
];

/** `undefined`: the certificate serves. */
export function certificateViolation(question: CertificateQuestion): Violation | undefined {
  const { certificate } = question;
  if (certificate === undefined) return { reason: 'CertificateMissing', message: 'there is no certificate yet' };
  const leaf = parse(certificate);
  if (leaf === undefined)
    return { reason: 'CertificateUnreadable', message: 'what was kept is no certificate with its key' };
  for (const policy of chain) {
    const violation = policy({ ...question, leaf, privateKey: certificate.privateKey });
    if (violation !== undefined) return violation;
  }
  return undefined;
}

/** Whether a certificate still serves; if not, another is minted. @throws Error for what is no certificate with its key. */
export function isCurrent(
  certificate: Certificate,
  authority: Certificate,
  { names, nowMs }: { readonly names: CertificateNames; readonly nowMs: number },
): boolean {
  const violation = certificateViolation({ certificate, authority, names, nowMs });
  if (violation?.reason === 'CertificateUnreadable') throw new Error(violation.message);
  return violation === undefined;
}

/** An authority must outlive what it signs. */
export function authorityIsCurrent({ certificate, privateKey }: Certificate, nowMs: number): boolean {
  const parsed = new X509Certificate(certificate);
  const outlives = parsed.validToDate.getTime() > nowMs + certificateLifetimeMs;
  return outlives && parsed.ca && parsed.checkPrivateKey(createPrivateKey(privateKey));
}

export function renewalTimeMs(certificate: string): number {
  return notAfterMs(certificate) - renewBeforeMs;
}

function keyMismatch({ leaf, privateKey }: Readable): Violation | undefined {
  return leaf.checkPrivateKey(createPrivateKey(privateKey))
    ? undefined
    : { reason: 'CertificateKeyMismatch', message: 'certificate and key do not belong together' };
}

function issuerReplaced({ leaf, authority }: Readable): Violation | undefined {
  const issuer = new X509Certificate(authority.certificate);
  return leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey)
    ? undefined
    : { reason: 'CertificateIssuerReplaced', message: 'another authority signs by now' };
}

function namesChanged({ leaf, names }: Readable): Violation | undefined {
  const missing = [
    ...names.dnsNames.filter(name => leaf.checkHost(name) === undefined),
    ...names.addresses.filter(address => leaf.checkIP(address) === undefined),
  ];
  return missing.length === 0
    ? undefined
    : { reason: 'CertificateNamesChanged', message: `the certificate is not for ${missing.join(', ')}` };
}

function due({ leaf, nowMs }: Readable): Violation | undefined {
  const endMs = leaf.validToDate.getTime();
  return nowMs < endMs - renewBeforeMs
    ? undefined
    : { reason: 'CertificateDue', message: `the certificate ends at ${new Date(endMs).toISOString()}` };
}

export interface Authorities {
  /** Signs. */
  readonly signing: Certificate | undefined;
  /** Published, and will sign. */
  readonly next: Certificate | undefined;
  /** Published still: certificates in PEM, without their keys. */
  readonly replaced: readonly string[];
}

/** The next step of a rotation, `undefined` when nothing is due. @throws Error when an authority that is kept cannot be read: clients trust it, so that it is never silently replaced. */
export function authorityViolation({ signing, next, replaced }: Authorities, nowMs: number): Violation | undefined {
  if (signing === undefined) return { reason: 'AuthorityMissing', message: 'there is no authority yet' };
  const end = notAfterMs(signing.certificate);
  if (next === undefined && nowMs >= end - announceBeforeMs)
    return {
      reason: 'AuthorityAnnounced',
      message: `the authority ends at ${new Date(end).toISOString()}: its successor is published`,
    };
  if (next !== undefined && nowMs >= startOf(next.certificate) + authorityOverlapMs)
    return { reason: 'AuthorityReplaced', message: 'the next authority has been published long enough, and signs' };
  return replaced.some(one => nowMs >= notAfterMs(one))
    ? { reason: 'AuthorityEnded', message: 'an authority that was replaced has ended' }
    : undefined;
}

function startOf(certificate: string): number {
  return new X509Certificate(certificate).validFromDate.getTime();
}

function parse({ certificate, privateKey }: Certificate): X509Certificate | undefined {
  try {
    createPrivateKey(privateKey);
    return new X509Certificate(certificate);
  } catch (error) {
    // node:crypto has no errors of its own to tell apart here: whatever it says, this is no certificate with its key.
    if (error instanceof Error) return undefined;
    throw error;
  }
}
