/** A self-signed certificate, made in memory. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;

export interface TestCertificate {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
  readonly notAfterMs: number;
}

export async function makeCertificate(name: string): Promise<TestCertificate> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const notAfter = new Date(Date.now() + dayMs);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - dayMs),
      notAfter,
      signingAlgorithm: algorithm,
      keys,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
    },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certificate: Buffer.from(certificate.toString('pem')),
    privateKey: Buffer.from(x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')),
    notAfterMs: notAfter.getTime(),
  };
}
