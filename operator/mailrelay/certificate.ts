/** Certificates of the listeners from a relay's own authority. Chance and time are arguments or the system's key generator; nothing is kept here. */
import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const dayMs = 86_400_000;
const authorityLifetimeMs = 3650 * dayMs;
export const certificateLifetimeMs = 90 * dayMs;

/** Both in PEM; the key as PKCS #8. */
export interface Certificate {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface CertificateNames {
  /** The first is the subject's common name. */
  readonly dnsNames: readonly string[];
  readonly addresses: readonly string[];
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** Clients' clocks may be behind. */
const backdateMs = 3_600_000;

/** @param title for people who look into their trust store. */
export async function mintAuthority(title: string, nowMs: number): Promise<Certificate> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ O: ['Postroad'] }, { CN: [title.slice(0, 64)] }],
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + authorityLifetimeMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return inPem(certificate, keys.privateKey);
}

export async function mintCertificate(
  authority: Certificate,
  { dnsNames, addresses }: CertificateNames,
  nowMs: number,
): Promise<Certificate> {
  const keys = await generateKeys();
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    // RFC 5280 appendix A: a common name has at most 64 characters; longer names stand in the alternative names alone.
    subject: [{ CN: [dnsNames.find(name => name.length <= 64) ?? 'postroad'] }],
    issuer: issuer.subject,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(Math.min(nowMs + certificateLifetimeMs, issuer.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...dnsNames.map(value => ({ type: 'dns', value }) as const),
        ...addresses.map(value => ({ type: 'ip', value }) as const),
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return inPem(certificate, keys.privateKey);
}

export function notAfterMs(certificate: string): number {
  return new X509Certificate(certificate).validToDate.getTime();
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

type CryptoKeyPair = webcrypto.CryptoKeyPair;

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

async function inPem(certificate: x509.X509Certificate, key: webcrypto.CryptoKey): Promise<Certificate> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key);
  const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), type: 'pkcs8', format: 'der' });
  return {
    certificate: `${certificate.toString('pem').trim()}\n`,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** RFC 5280 s4.1.2.2: positive, at most 20 octets. */
function serialNumber(): string {
  return `40${randomBytes(15).toString('hex')}`;
}
