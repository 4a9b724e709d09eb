import type { PolicyConfig } from '../config.ts';
import type { Secrets } from '../secrets.ts';
import { baseDomain, nearestPattern, normalizeDomain } from '../smtp/domain.ts';
import { parseFromHeader } from '../smtp/from-field.ts';
import type { SigningKey } from './dkim.ts';

/** The message cannot be signed as its policy says; the fault is ours, so the client hears 451 (G4). */
export class SigningError extends Error {
  override name = 'SigningError';
  readonly code = 'POSTROAD_SIGNING_FAILED';
}

const keyTypes = { RSA2048: 'rsa', Ed25519: 'ed25519' } as const;

/** Whether some mail of the policy is signed. */
export function signsAny({ dkim }: PolicyConfig): boolean {
  return dkim.some(({ signsFor }) => signsFor === undefined || signsFor.length > 0);
}

/** Every key of the policy that signs for the domain of `d=`: a message gets one signature with each. @throws SigningError */
export function selectKeys(policy: PolicyConfig, domain: string, secrets: Pick<Secrets, 'dkimKeys'>): SigningKey[] {
  const signing = policy.dkim.filter(
    ({ signsFor }) => signsFor === undefined || signsFor.some(one => normalizeDomain(one) === domain),
  );
  return signing.map(({ selector, algorithm, privateKeyFile }) => {
    const privateKey = secrets.dkimKeys.get(privateKeyFile);
    const place = `DKIM key ${selector} of DomainPolicy ${policy.namespace}/${policy.name}`;
    if (privateKey === undefined) throw new SigningError(`${place} is not loaded`);
    if (privateKey.asymmetricKeyType !== keyTypes[algorithm]) throw new SigningError(`${place} is not ${algorithm}`);
    return { selector, algorithm, privateKey };
  });
}

/**
 * `d=`: the domain of the policy that covers the first author's, which is where its key records stand. It is that domain or
 * a parent of it, so DMARC's relaxed alignment holds (RFC 7489 s3.1.1), and strict alignment too unless it came by a `*.`.
 * @throws SigningError
 */
export function selectDomain(policy: PolicyConfig, header: Buffer): string {
  const from = parseFromHeader(header);
  const author = from.ok ? from.authors[0] : undefined;
  const pattern = author === undefined ? undefined : nearestPattern(policy.domains, author.domain);
  if (pattern === undefined) {
    throw new SigningError(`DomainPolicy ${policy.namespace}/${policy.name} does not cover the From field`);
  }
  return baseDomain(pattern);
}
