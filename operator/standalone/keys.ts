/** What was made by chance once and is kept in `<data-dir>/keys`: losing it would make published DNS records and trusted authorities worthless. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { type DkimAlgorithm, type DkimKey, dkimKeyOf, mintDkimKey } from '../domainpolicy/dkim-key.ts';
import { type Certificate, type CertificateNames, mintAuthority, mintCertificate } from '../mailrelay/certificate.ts';
import { authorityIsCurrent, isCurrent } from '../mailrelay/certificate-policy.ts';
import { readIfThere, writeAtomically } from './files.ts';

export interface KeptKeys {
  dkim(policy: DomainPolicy, algorithm: DkimAlgorithm): Promise<DkimKey>;
  /** Renewed when it is due or its names change; the authority stays. */
  certificate(relay: MailRelay, names: CertificateNames): Promise<{ authority: string; certificate: Certificate }>;
  /** Makes revisions unguessable, which cover secrets and are shown to everybody. */
  revisionKey(): Promise<string>;
}

/** @throws Error naming the file that holds no key: never replaced, since somebody may rely on what it held. */
export function createKeptKeys(folder: string, now: () => number): KeptKeys {
  async function keep(path: string, mint: () => string | Promise<string>): Promise<string> {
    const file = join(folder, path);
    const kept = await readIfThere(file);
    if (kept !== undefined) return kept;
    const minted = await mint();
    await writeAtomically(file, minted);
    return minted;
  }

  /** Key and certificate in one file, so that no power cut parts them. */
  async function keepPair(
    path: string,
    serves: (pair: Certificate) => boolean,
    mint: () => Promise<Certificate>,
  ): Promise<Certificate> {
    const file = join(folder, path);
    const kept = await readIfThere(file);
    if (kept !== undefined) {
      const pair = splitPair(kept);
      if (asking(file, () => serves(pair))) return pair;
    }
    const minted = await mint();
    await writeAtomically(file, `${minted.privateKey}${minted.certificate}`);
    return minted;
  }

  return {
    async dkim({ metadata: { namespace, name } }, algorithm) {
      const path = join('dkim', namespace, name, `${algorithm}.pem`);
      const pem = await keep(path, () => mintDkimKey(algorithm));
      return asking(join(folder, path), () => dkimKeyOf(pem));
    },
    async certificate({ metadata: { namespace, name } }, names) {
      const place = join('tls', namespace, name);
      const title = `Postroad authority of ${namespace}/${name}`;
      const authority = await keepPair(
        join(place, 'authority.pem'),
        pair => authorityIsCurrent(pair, now()),
        () => mintAuthority(title, now()),
      );
      const certificate = await keepPair(
        join(place, 'listeners.pem'),
        pair => isCurrent(pair, authority, { names, nowMs: now() }),
        () => mintCertificate(authority, names, now()),
      );
      return { authority: authority.certificate, certificate };
    },
    revisionKey: () => keep('revision.key', () => randomBytes(32).toString('base64')),
  };
}

function splitPair(text: string): Certificate {
  const start = Math.max(0, text.indexOf('-----BEGIN CERTIFICATE-----'));
  return { privateKey: text.slice(0, start), certificate: text.slice(start) };
}

function asking<T>(file: string, question: () => T): T {
  try {
    return question();
  } catch (cause) {
    throw new Error(`${file} does not hold what was kept in it: restore it from a backup, or remove it for a new one`, {
      cause,
    });
  }
}
