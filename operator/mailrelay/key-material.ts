/**
 * The Secret with what a relay's chance made once: the key of its revisions, its authorities, its certificate. One Secret, so that each
 * step of a rotation happens whole or not at all. No pod mounts it.
 */
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { SecretData } from '../credentials.ts';
import { type Certificate, type CertificateNames, notAfterMs } from './certificate.ts';
import { type Authorities, authorityViolation, certificateViolation, type Violation } from './certificate-policy.ts';
import { namesOf } from './desired/names.ts';
import { type DesiredObject, ownedMetadata } from './desired/object.ts';

export interface KeptMaterial extends Authorities {
  readonly revisionKey: string | undefined;
  readonly certificate: Certificate | undefined;
}

export const noMaterial: KeptMaterial = {
  revisionKey: undefined,
  signing: undefined,
  next: undefined,
  replaced: [],
  certificate: undefined,
};

export function materialOf(data: SecretData | undefined): KeptMaterial {
  if (data === undefined) return noMaterial;
  const text = (key: string): string | undefined => data.get(key)?.toString('utf8');
  const pair = (name: string): Certificate | undefined => {
    const [certificate, privateKey] = [text(`${name}.crt`), text(`${name}.key`)];
    return certificate === undefined || privateKey === undefined ? undefined : { certificate, privateKey };
  };
  return {
    revisionKey: text('revision.key'),
    signing: pair('authority'),
    next: pair('next-authority'),
    replaced: splitPem(text('replaced-authorities.crt') ?? ''),
    certificate: pair('certificate'),
  };
}

export function keysSecret(relay: MailRelay, kept: KeptMaterial): DesiredObject {
  const entries: readonly (readonly [string, string | undefined])[] = [
    ['revision.key', kept.revisionKey],
    ['authority.crt', kept.signing?.certificate],
    ['authority.key', kept.signing?.privateKey],
    ['next-authority.crt', kept.next?.certificate],
    ['next-authority.key', kept.next?.privateKey],
    ['replaced-authorities.crt', kept.replaced.length === 0 ? undefined : kept.replaced.join('')],
    ['certificate.crt', kept.certificate?.certificate],
    ['certificate.key', kept.certificate?.privateKey],
  ];
  const given = entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, base64(value)] as const]));
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: ownedMetadata(relay, namesOf(relay).keys),
    type: 'Opaque',
    data: Object.fromEntries(given),
  };
}

/** What clients should trust, the one that signs first. */
export function trustedAuthorities({ signing, next, replaced }: Authorities): string[] {
  return [...[signing, next].flatMap(one => one?.certificate ?? []), ...replaced];
}

export interface MaterialQuestion {
  /** Of the certificate; undefined where none of ours is asked for. Authorities are then left as they are, for the day it is again. */
  readonly names: CertificateNames | undefined;
  readonly nowMs: number;
}

/** What must be made next; `undefined` when nothing is due. */
export function materialViolation(kept: KeptMaterial, { names, nowMs }: MaterialQuestion): Violation | undefined {
  if (names === undefined) return undefined;
  const violation = authorityViolation(kept, nowMs);
  if (violation !== undefined || kept.signing === undefined) return violation;
  return certificateViolation({ certificate: kept.certificate, authority: kept.signing, names, nowMs });
}

export interface Mint {
  authority(): Promise<Certificate>;
  certificate(authority: Certificate): Promise<Certificate>;
  revisionKey(): string;
}

export interface Renewal {
  readonly kept: KeptMaterial;
  /** Each step taken, for events. Empty: nothing changed, and nothing is to be written. */
  readonly steps: readonly Violation[];
  /** The first key of revisions was made: no event, but something to write. */
  readonly isNew: boolean;
}

/** More than any rotation has at once. */
const mostSteps = 8;

/** Takes every step that is due. Chance comes in by `mint` alone; what it returns must be stored before it is used. */
export async function renewMaterial(before: KeptMaterial, question: MaterialQuestion, mint: Mint): Promise<Renewal> {
  const isNew = before.revisionKey === undefined;
  let kept: KeptMaterial = isNew ? { ...before, revisionKey: mint.revisionKey() } : before;
  const steps: Violation[] = [];
  for (;;) {
    const violation = materialViolation(kept, question);
    if (violation === undefined) return { kept, steps, isNew };
    if (steps.length === mostSteps)
      throw new Error(`keys are still not right after ${steps.length} steps: ${violation.message}`);
    steps.push(violation);
    kept = await takeStep(kept, violation, { question, mint });
  }
}

async function takeStep(
  kept: KeptMaterial,
  { reason }: Violation,
  { question, mint }: { readonly question: MaterialQuestion; readonly mint: Mint },
): Promise<KeptMaterial> {
  const { signing, next, replaced } = kept;
  switch (reason) {
    case 'AuthorityMissing':
      return { ...kept, signing: await mint.authority() };
    case 'AuthorityAnnounced':
      return { ...kept, next: await mint.authority() };
    case 'AuthorityReplaced':
      return {
        ...kept,
        signing: next,
        next: undefined,
        replaced: [...(signing === undefined ? [] : [signing.certificate]), ...replaced],
      };
    case 'AuthorityEnded':
      return { ...kept, replaced: replaced.filter(one => question.nowMs < notAfterMs(one)) };
    default:
      return signing === undefined ? kept : { ...kept, certificate: await mint.certificate(signing) };
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function splitPem(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?/g) ?? [];
}
