/** status of a MailRelay from what was observed: a pure function. */
import type { MailRelay, MailRelayStatus } from '../../crds/mail-relay.ts';
import {
  type ConditionType,
  conditionsOf,
  fails,
  holds,
  type Reason,
  type Stamp,
  summary,
  unknown,
  type Verdict,
} from '../conditions.ts';
import type { SecretProblem } from '../credentials.ts';
import { selectorText } from '../labels.ts';
import { renewalTimeMs } from './certificate-policy.ts';
import { offersTls } from './desired/config.ts';
import { type WorkloadObservation, workloadVerdicts } from './workload-status.ts';

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
  /** In a cluster; without one there is a single process. */
  readonly cluster?: ClusterObservation;
  readonly previous: MailRelayStatus | undefined;
  readonly stamp: Stamp;
}

export interface ClusterObservation {
  readonly workload: WorkloadObservation;
  /** Objects under our names that are not ours, as `Kind name`. */
  readonly taken: readonly string[];
  /** Why there is no configuration, or why it does not hold all policies. */
  readonly tooLarge: string | undefined;
  /** Why there is no certificate. */
  readonly certificateProblem:
    | {
        readonly reason: Extract<Reason, 'CertificatePending' | 'CertManagerNotFound' | 'CertificateUnavailable'>;
        readonly message: string;
      }
    | undefined;
}

export function mailRelayStatus(observed: RelayObservation): MailRelayStatus {
  const { certificate, configurationRevision, appliedRevision, cluster, stamp } = observed;
  const verdicts = [accepted(observed), resolvedRefs(observed), certificateReady(observed), programmed(observed)];
  const inCluster = cluster === undefined ? undefined : workloadVerdicts(observed, cluster.workload);
  const ready = readiness(verdicts, inCluster?.availability);
  return {
    ...(stamp.generation !== undefined && { observedGeneration: stamp.generation }),
    ...replicaCounts(observed),
    address: observed.address,
    listeners: observed.listeners,
    attachedPolicies: observed.attachedPolicies,
    ...(certificate !== undefined && { certificate: certificateStatus(certificate) }),
    ...(configurationRevision !== undefined && { configurationRevision }),
    ...(appliedRevision !== undefined && { appliedRevision }),
    conditions: conditionsOf(
      [ready, ...verdicts, ...(inCluster?.conditions ?? [])],
      observed.previous?.conditions ?? [],
      stamp,
    ),
  };
}

function readiness(verdicts: readonly Verdict[], availability: Verdict | undefined): Verdict {
  if (availability === undefined) return summary(verdicts);
  const all = summary([...verdicts, availability]);
  return all.status === 'True' ? availability : all;
}

const everyType: readonly ConditionType[] = [
  'Ready',
  'Accepted',
  'ResolvedRefs',
  'CertificateReady',
  'Programmed',
  'Progressing',
  'Draining',
  'Paused',
];

/** Before anything was looked at: whoever waits for a condition finds it from the start. */
export function firstStatus(stamp: Stamp): MailRelayStatus {
  const verdicts = everyType.map(type => unknown(type, 'Pending', 'not looked at yet'));
  return { conditions: conditionsOf(verdicts, [], stamp) };
}

function replicaCounts({
  relay,
  appliedRevision,
  cluster,
}: RelayObservation): Pick<MailRelayStatus, 'replicas' | 'readyReplicas' | 'selector'> {
  if (cluster === undefined) return { replicas: 1, readyReplicas: appliedRevision === undefined ? 0 : 1 };
  const { replicas, readyReplicas } = cluster.workload;
  return { replicas, readyReplicas, selector: selectorText(relay) };
}

function accepted({ notSupported, cluster }: RelayObservation): Verdict {
  if (notSupported !== undefined) return fails('Accepted', 'NotSupported', notSupported);
  const taken = cluster?.taken ?? [];
  return taken.length === 0
    ? holds('Accepted', 'Accepted', 'the object is valid')
    : fails('Accepted', 'NameTaken', `not made by this relay, and left alone: ${taken.toSorted().join(', ')}`);
}

function resolvedRefs({ secretProblems }: RelayObservation): Verdict {
  const [first] = secretProblems;
  return first === undefined
    ? holds('ResolvedRefs', 'ResolvedRefs', 'every Secret that is referred to is there')
    : fails('ResolvedRefs', first.reason, secretProblems.map(({ message }) => message).join('; '));
}

function certificateReady({ relay, certificate, cluster, stamp }: RelayObservation): Verdict {
  if (!offersTls(relay)) return holds('CertificateReady', 'CertificateNotNeeded', 'no listener offers TLS');
  if (certificate !== undefined) {
    const ended = stamp.nowMs >= certificate.notAfterMs;
    return ended
      ? fails('CertificateReady', 'CertificateExpired', `the certificate ended at ${timeOf(certificate.notAfterMs)}`)
      : holds('CertificateReady', 'CertificateIssued', `the certificate is from ${relay.spec.tls.type}`);
  }
  const { reason, message } = cluster?.certificateProblem ?? {
    reason: 'CertificateUnavailable',
    message: 'there is no certificate for the listeners',
  };
  return reason === 'CertificatePending'
    ? unknown('CertificateReady', reason, message)
    : fails('CertificateReady', reason, message);
}

function programmed({ configurationRevision, appliedRevision, cluster }: RelayObservation): Verdict {
  if (cluster?.tooLarge !== undefined) return fails('Programmed', 'ConfigurationTooLarge', cluster.tooLarge);
  if (configurationRevision === undefined)
    return fails('Programmed', 'ConfigurationRejected', 'no configuration could be made; other conditions say why');
  // Of no pods, all run it: nothing is awaited of a relay that is parked.
  if (cluster?.workload.wanted === 0 && cluster.workload.pods.length === 0)
    return holds('Programmed', 'ConfigurationApplied', 'no pods are asked for');
  return configurationRevision === appliedRevision
    ? holds('Programmed', 'ConfigurationApplied', `revision ${configurationRevision} is running`)
    : unknown('Programmed', 'ConfigurationPending', `revision ${configurationRevision} is not running yet`);
}

function certificateStatus({
  notAfterMs,
  ownPem,
}: NonNullable<RelayObservation['certificate']>): NonNullable<MailRelayStatus['certificate']> {
  const notAfterTime = timeOf(notAfterMs);
  return ownPem === undefined ? { notAfterTime } : { notAfterTime, renewalTime: timeOf(renewalTimeMs(ownPem)) };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
