/** DKIM keys: made by chance once, then kept; everything else about them follows from the key. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';

export type DkimAlgorithm = 'RSA2048' | 'Ed25519';

export interface DkimKey {
  readonly selector: string;
  readonly algorithm: DkimAlgorithm;
  /** PKCS #8. */
  readonly privateKeyPem: string;
  /** Value of its TXT record (RFC 6376 s3.6.1, RFC 8463 s4). */
  readonly recordValue: string;
}

/** A key as a relay has it. */
export interface LoadedKey extends DkimKey {
  /**
   * Base domains (base-domains.ts) whose mail it signs; left out: all of the policy. None: every pod loads it first, so that none signs before
   * all can.
   */
  readonly signsFor?: readonly string[];
}

const generate = promisify(generateKeyPair);
const encodings = {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
} as const;

/** A private key in PEM. */
export async function mintDkimKey(algorithm: DkimAlgorithm): Promise<string> {
  const { privateKey } =
    algorithm === 'RSA2048'
      ? await generate('rsa', { modulusLength: 2048, ...encodings })
      : await generate('ed25519', encodings);
  return privateKey;
}

/**
 * @throws Error saying what is wrong with the PEM, never its content.
 * Without a selector it is one that no other key has, so that a new key never lands on a record that receivers have cached.
 */
export function dkimKeyOf(privateKeyPem: string | Buffer, givenSelector?: string): DkimKey {
  const privateKey = parsePrivateKey(privateKeyPem);
  const publicKey = createPublicKey(privateKey);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const selector = givenSelector ?? `pr${createHash('sha256').update(spki).digest('hex').slice(0, 12)}`;
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  if (privateKey.asymmetricKeyType === 'ed25519') {
    // RFC 8463 s4: the bare key, not SubjectPublicKeyInfo. Its last 32 octets are the key (RFC 8410 s4).
    const recordValue = `v=DKIM1; k=ed25519; p=${spki.subarray(-32).toString('base64')}`;
    return { selector, algorithm: 'Ed25519', privateKeyPem: pem, recordValue };
  }
  const bits = privateKey.asymmetricKeyDetails?.modulusLength ?? 0;
  if (privateKey.asymmetricKeyType !== 'rsa' || bits < 2048 || bits > 4096)
    throw new Error('must be an RSA key of 2048 to 4096 bits or an Ed25519 key');
  return {
    selector,
    algorithm: 'RSA2048',
    privateKeyPem: pem,
    recordValue: `v=DKIM1; k=rsa; p=${spki.toString('base64')}`,
  };
}

function parsePrivateKey(pem: string | Buffer): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem);
  } catch {
    // OpenSSL's own words name an internal routine, and help nobody.
    throw new Error('must be a private key in PEM, without a passphrase');
  }
}
