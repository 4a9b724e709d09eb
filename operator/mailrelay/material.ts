/** Keys and certificates of a relay: what is kept of them, and what is made when it is due. Stored before anything is made from it. */
import { randomBytes } from 'node:crypto';
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { KubeObject } from '../kube/object.ts';
import { type Certificate, type CertificateNames, mintAuthority, mintCertificate } from './certificate.ts';
import { renewalTimeMs, type Violation } from './certificate-policy.ts';
import { offersTls } from './desired/config.ts';
import { certificateNames, namesOf } from './desired/names.ts';
import { dataOf } from './existing.ts';
import { type KeptMaterial, keysSecret, type Mint, materialOf, noMaterial, renewMaterial } from './key-material.ts';
import type { Found, Making, RelayWriter } from './writer.ts';

export interface MaterialDeps {
  readonly cluster: Pick<Cluster, 'hasSecret'>;
  readonly writer: RelayWriter;
  readonly events: EventRecorder;
  readonly clusterDomain: string;
}

export interface MaterialTurn {
  readonly relay: MailRelay;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

export interface RelayMaterial {
  /** As it was found, without looking whether anything is due. */
  kept(turn: MaterialTurn): Promise<KeptMaterial>;
  /** With everything made that was due. @throws ApiError 409 when the Secret was changed meanwhile */
  renewed(turn: MaterialTurn): Promise<KeptMaterial>;
}

/** Authorities live for years, and none of their steps is urgent. */
const longestTrustMs = 6 * 3_600_000;

interface Judgement {
  readonly kept: KeptMaterial;
  /** Question for which, and time until which, nothing is due. */
  readonly names: string | undefined;
  readonly untilMs: number;
}

export function createRelayMaterial({ cluster, writer, events, clusterDomain }: MaterialDeps): RelayMaterial {
  /** Certificates are parsed and verified once for each content, not in each pass. */
  const judged = new WeakMap<KubeObject, Judgement>();

  async function find({ relay, signal }: MaterialTurn): Promise<Found> {
    const { namespace } = relay.metadata;
    return await writer.find(relay, { apiVersion: 'v1', kind: 'Secret', namespace, name: namesOf(relay).keys }, signal);
  }

  /** Where no Secret was seen under the name, none is looked for: what is made is not written over one. */
  async function findSeen(turn: MaterialTurn): Promise<Found> {
    const { namespace } = turn.relay.metadata;
    return cluster.hasSecret(`${namespace}/${namesOf(turn.relay).keys}`) ? await find(turn) : { kind: 'Free' };
  }

  /** What is kept, where it was looked into before and nothing has come due since. */
  function stillGood(found: Found, names: string | undefined, nowMs: number): KeptMaterial | undefined {
    const known = found.kind === 'Ours' ? judged.get(found.live) : undefined;
    return known !== undefined && known.names === names && nowMs < known.untilMs ? known.kept : undefined;
  }

  function namesWanted(relay: MailRelay): CertificateNames | undefined {
    const isAsked = relay.spec.tls.type === 'SelfSigned' && offersTls(relay);
    return isAsked ? { dnsNames: certificateNames(relay, clusterDomain), addresses: [] } : undefined;
  }

  /** Returns what is there instead, after all: its keys are the ones that count. */
  async function store(making: Making, found: Found): Promise<Found | undefined> {
    if (found.kind === 'Free') {
      const made = await writer.make(making);
      return made.kind === 'Made' ? undefined : made;
    }
    await writer.own({ ...making, onlyIfUnchanged: true, found });
    return undefined;
  }

  async function renew(turn: MaterialTurn, found: Found, names: CertificateNames | undefined): Promise<KeptMaterial> {
    const { relay, nowMs, signal } = turn;
    const { kept, steps, isNew } = await renewMaterial(keptIn(found), { names, nowMs }, mintOf(relay, names, nowMs));
    if (steps.length > 0 || isNew) {
      const there = await store({ relay, object: keysSecret(relay, kept), signal }, found);
      if (there !== undefined) return there.kind === 'Ours' ? await renew(turn, there, names) : noMaterial;
    } else if (found.kind === 'Ours')
      judged.set(found.live, { kept, names: JSON.stringify(names), untilMs: trustedUntilMs(kept, nowMs) });
    // The first ones are part of making a relay, which its conditions tell; an event is a write as well.
    if (!isNew) tell(relay, steps);
    return kept;
  }

  function tell(relay: MailRelay, steps: readonly Violation[]): void {
    for (const { reason, message } of steps)
      events.record(relay, { type: 'Normal', reason, action: 'Renew', note: message });
  }

  return {
    kept: async turn => keptIn(await find(turn)),
    async renewed(turn) {
      const found = await findSeen(turn);
      if (found.kind === 'Taken') return noMaterial;
      const names = namesWanted(turn.relay);
      return stillGood(found, JSON.stringify(names), turn.nowMs) ?? (await renew(turn, found, names));
    },
  };
}

function keptIn(found: Found): KeptMaterial {
  return found.kind === 'Ours' ? materialOf(dataOf(found.live)) : noMaterial;
}

function mintOf(relay: MailRelay, names: CertificateNames | undefined, nowMs: number): Mint {
  const { namespace, name } = relay.metadata;
  return {
    authority: () => mintAuthority(`MailRelay ${namespace}/${name}`, nowMs),
    certificate: (authority: Certificate) =>
      mintCertificate(authority, names ?? { dnsNames: [], addresses: [] }, nowMs),
    revisionKey: () => randomBytes(32).toString('hex'),
  };
}

function trustedUntilMs({ certificate }: KeptMaterial, nowMs: number): number {
  const renewalMs = certificate === undefined ? Number.POSITIVE_INFINITY : renewalTimeMs(certificate.certificate);
  return Math.min(renewalMs, nowMs + longestTrustMs);
}
