/** status of a MailRelay from what was observed: a pure function. */
import type { MailRelay, MailRelayStatus } from '../../crds/mail-relay.ts';
import { conditionsOf, fails, holds, type Stamp, summary, unknown, type Verdict } from '../conditions.ts';
import type { SecretProblem } from '../credentials.ts';
import { renewalTimeMs } from './certificate.ts';
import { offersTls } from './desired/config.ts';

export interface RelayObservation {
  readonly relay: MailRelay;
  /** Why it cannot be served here at all. */
  readonly notSupported: string | undefined;
  readonly secretProblems: readonly SecretProblem[];
  readonly certificate: { readonly notAfterMs: number; readonly ownPem: string | undefined } | undefined;
  readonly listeners: NonNullable<MailRelayStatus['listeners']>;
  readonly address: string;
  readonly attachedPolicies: number;
  readonly configurationRevision: string | undefined;
  /** What every ready relay runs. */
  readonly appliedRevision: string | undefined;
  readonly previous: MailRelayStatus | undefined;
  readonly stamp: Stamp;
}

export function mailRelayStatus(observed: RelayObservation): MailRelayStatus {
  const { certificate, configurationRevision, appliedRevision, stamp } = observed;
  const verdicts = [accepted(observed), resolvedRefs(observed), certificateReady(observed), programmed(observed)];
  const ready = appliedRevision === undefined ? 0 : 1;
  return {
    ...(stamp.generation !== undefined && { observedGeneration: stamp.generation }),
    replicas: 1,
    readyReplicas: ready,
    address: observed.address,
    listeners: observed.listeners,
    attachedPolicies: observed.attachedPolicies,
    ...(certificate !== undefined && { certificate: certificateStatus(certificate) }),
    ...(configurationRevision !== undefined && { configurationRevision }),
    ...(appliedRevision !== undefined && { appliedRevision }),
    conditions: conditionsOf([summary(verdicts), ...verdicts], observed.previous?.conditions ?? [], stamp),
  };
}

function accepted({ notSupported }: RelayObservation): Verdict {
  return notSupported === undefined
    ? holds('Accepted', 'Accepted', 'the object is valid')
    : fails('Accepted', 'NotSupported', notSupported);
}

function resolvedRefs({ secretProblems }: RelayObservation): Verdict {
  const [first] = secretProblems;
  return first === undefined
    ? holds('ResolvedRefs', 'ResolvedRefs', 'every Secret that is referred to is there')
    : fails('ResolvedRefs', first.reason, secretProblems.map(({ message }) => message).join('; '));
}

function certificateReady({ relay, certificate }: RelayObservation): Verdict {
  if (!offersTls(relay)) return holds('CertificateReady', 'CertificateNotNeeded', 'no listener offers TLS');
  return certificate === undefined
    ? fails('CertificateReady', 'CertificateUnavailable', 'there is no certificate for the listeners')
    : holds('CertificateReady', 'CertificateIssued', `the certificate is from ${relay.spec.tls.type}`);
}

function programmed({ configurationRevision, appliedRevision }: RelayObservation): Verdict {
  if (configurationRevision === undefined)
    return fails('Programmed', 'ConfigurationRejected', 'no configuration could be made; other conditions say why');
  return configurationRevision === appliedRevision
    ? holds('Programmed', 'ConfigurationApplied', `revision ${configurationRevision} is running`)
    : unknown('Programmed', 'ConfigurationPending', `revision ${configurationRevision} is not running yet`);
}

function certificateStatus({
  notAfterMs,
  ownPem,
}: NonNullable<RelayObservation['certificate']>): NonNullable<MailRelayStatus['certificate']> {
  const notAfterTime = new Date(notAfterMs).toISOString();
  return ownPem === undefined
    ? { notAfterTime }
    : { notAfterTime, renewalTime: new Date(renewalTimeMs(ownPem)).toISOString() };
}
