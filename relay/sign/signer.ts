/**
 * Signs what leaves: after the policy has named the message's owner, before the queue.
 *
 * The caller hashes the body as it arrives (cheap, on the event loop, bounded per chunk) and hands over the hash with the
 * header fields that will be sent; the signatures are made on the thread pool. Nothing of a message is kept, so a crash at any
 * point costs nothing. A policy without keys sends unsigned; a key that is named but missing is our fault and throws.
 */
import { type Clock, systemClock } from '../clock.ts';
import type { PolicyConfig } from '../config.ts';
import type { Metrics } from '../metrics.ts';
import type { Secrets } from '../secrets.ts';
import { type BodyHasher, hashRelaxedBody } from './body-hash.ts';
import { selectHeader, signHeader } from './dkim.ts';
import { selectDomain, selectKeys, signsAny } from './selector.ts';

export interface SignInput {
  readonly policy: PolicyConfig;
  /** All header fields that will be sent under our signature, each with its CRLF; a blank line at the end is ignored. */
  readonly header: Buffer;
  /** From `hashBody()`. */
  readonly bodyHash: string;
}

export interface Signer {
  hashBody(): BodyHasher;
  /** DKIM-Signature fields, each with its CRLF, one a key; empty when no key of the policy signs for the author's domain. @throws SigningError */
  sign(input: SignInput): Promise<Buffer>;
}

export interface SignerDeps {
  /** Read for each message, which is how new keys and policies reach it. */
  readonly state: () => { readonly secrets: Pick<Secrets, 'dkimKeys'> };
  readonly metrics: Pick<Metrics, 'postroad_sign_signatures_total' | 'postroad_sign_errors_total'>;
  readonly clock?: Pick<Clock, 'now'>;
}

export function createSigner({ state, metrics, clock = systemClock }: SignerDeps): Signer {
  const sign = async ({ policy, header, bodyHash }: SignInput): Promise<Buffer> => {
    if (!signsAny(policy)) return Buffer.alloc(0);
    const domain = selectDomain(policy, header);
    const keys = selectKeys(policy, domain, state().secrets);
    if (keys.length === 0) return Buffer.alloc(0);
    const signed = selectHeader(header);
    const timeSeconds = Math.floor(clock.now() / 1000);
    const fields = await Promise.all(keys.map(key => signHeader(key, signed, { domain, bodyHash, timeSeconds })));
    for (const { algorithm } of keys) metrics.postroad_sign_signatures_total.inc({ algorithm });
    return Buffer.from(fields.join(''), 'latin1');
  };
  return {
    hashBody: hashRelaxedBody,
    sign: async input => {
      try {
        return await sign(input);
      } catch (error) {
        metrics.postroad_sign_errors_total.inc();
        throw error;
      }
    },
  };
}

export type { BodyHasher } from './body-hash.ts';
