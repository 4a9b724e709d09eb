/** Conditions, and every reason that one may give. The runbook has a section for each, titled with its name. */
import type { Condition } from '../crds/common.ts';

/** Reason -> what it means. */
export const reasons = {
  Accepted: 'The object is valid, and what it refers to lets it attach.',
  RelayNotFound: 'The relayRef of a DomainPolicy names no MailRelay, or one that does not let its namespace attach.',
  Conflicted:
    'Another DomainPolicy, older or first by namespace and name, claims one of the domains, or is of another namespace and claims a pattern that covers one.',
  NotSupported:
    'The object is valid, but asks for what can be done only in a cluster. Nothing is made for it; its message says what to write instead.',
  NameTaken: 'An object that this one needs to make is there already and belongs to somebody else.',
  Pending: 'Nothing was looked at yet.',
  ResolvedRefs: 'Everything that the object refers to is there.',
  SecretNotFound: 'A Secret that the object refers to is not there.',
  SecretNotReadable:
    'A Secret that the object refers to is in a namespace whose Secrets this operator may not read; see relayNamespaces of the chart.',
  SecretInvalid: 'A Secret that the object refers to lacks a key, or its content is not what it should be.',
  CertificateIssued: 'The listeners have a certificate.',
  CertificateNotNeeded: 'No listener offers TLS.',
  CertificateUnavailable: 'There is no certificate for the listeners.',
  CertificatePending: 'A certificate has been asked for and is not there yet.',
  CertificateExpired: 'The certificate of the listeners has ended: clients that verify it refuse to send.',
  CertManagerNotFound: 'A certificate of cert-manager is asked for, and this cluster has no cert-manager.',
  KeysActive: 'Mail of every domain is signed.',
  SigningDisabled: 'The DomainPolicy asks for no signatures.',
  KeysUnavailable: 'There is no key to sign with.',
  KeysPending:
    'Mail of some or all domains is not signed: keys wait for their DNS records there, or for the pods to load them.',
  RecordsNotChecked: 'DNS records are not looked up here; publish what status.dnsRecords lists.',
  RecordsPublished: 'Every authoritative server has the DNS records that are needed.',
  RecordsMissing: 'An authoritative server says that a DNS record is not there.',
  RecordsMismatch: 'A DNS record is there and says something else than it should.',
  RecordsUnknown: 'An authoritative server does not answer, or none is found: what it has is not known.',
  SPFUnusable: 'Receivers refuse the SPF record: it costs more than ten look-ups, or includes what is not there.',
  ExternalDNSNotFound:
    'Records are to be published by external-dns, and this cluster does not know its kind DNSEndpoint, does not let this operator write one there, or does not allow it to this namespace.',
  ConfigurationApplied: 'Every ready relay runs the configuration made from this object.',
  ConfigurationPending: 'The configuration made from this object is not yet run by every ready relay.',
  ConfigurationRejected:
    'No configuration could be made; the last good one stays, less the signatures of DKIM keys that must stop.',
  ConfigurationTooLarge:
    'Not all policies fit into the objects that carry the configuration: some of the namespace that takes up most are left out. Where it does not fit without policies, the last good one stays.',
  PodsUnavailable: 'Fewer pods are ready than the disruption budget leaves.',
  QueueStoreTrouble:
    'Fewer pods are ready than the disruption budget leaves: the Redis of the queue would not keep mail as durability asks, so that none is taken.',
  Parked: 'No pods are asked for.',
  Terminating: 'The object is being deleted: no new mail is taken.',
  RollingOut: 'Pods are being made, replaced or removed.',
  RolledOut: 'All pods are as asked for.',
  VolumeExpansionRefused:
    'Volumes are smaller than spec.queue.volume.size says, and the API server does not let them grow. Mail flows as before.',
  Draining: 'Pods that are no longer wanted deliver what their queues hold, and take no new mail.',
  DrainTimedOut: 'The time for draining is over; what was left stays on volumes that are kept.',
  NotDraining: 'No pod is on its way out with mail in its queue.',
  Paused: 'spec.reconciliation says that nothing of this relay is changed.',
  NotPaused: 'Changes of the object are followed.',
  Ready: 'Everything asked for is in place.',
} as const;
export type Reason = keyof typeof reasons;

export type ConditionType =
  | 'Ready'
  | 'Accepted'
  | 'ResolvedRefs'
  | 'CertificateReady'
  | 'Programmed'
  | 'Progressing'
  | 'Draining'
  | 'Paused'
  | 'DKIMReady'
  | 'DNSPublished';

export interface Verdict {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: Reason;
  readonly message: string;
}

export function holds(type: ConditionType, reason: Reason, message: string): Verdict {
  return { type, status: 'True', reason, message };
}

export function fails(type: ConditionType, reason: Reason, message: string): Verdict {
  return { type, status: 'False', reason, message };
}

export function unknown(type: ConditionType, reason: Reason, message: string): Verdict {
  return { type, status: 'Unknown', reason, message };
}

/** Ready says the first thing that is wrong, so that one look is enough; `optional` types do not stand in its way while unknown. */
export function summary(verdicts: readonly Verdict[], optional: readonly ConditionType[] = []): Verdict {
  const counted = verdicts.filter(one => one.status === 'False' || !optional.includes(one.type));
  const worst = counted.find(one => one.status === 'False') ?? counted.find(one => one.status === 'Unknown');
  return worst === undefined
    ? holds('Ready', 'Ready', 'everything asked for is in place')
    : { ...worst, type: 'Ready' };
}

export interface Stamp {
  readonly nowMs: number;
  readonly generation: number | undefined;
}

/** Keeps the time of the last transition while the status stays, so that a status that means the same is the same. */
export function conditionsOf(
  verdicts: readonly Verdict[],
  previous: readonly Condition[],
  { nowMs, generation }: Stamp,
): Condition[] {
  return verdicts.map(({ type, status, reason, message }) => {
    const before = previous.find(one => one.type === type);
    const lastTransitionTime =
      before?.status === status ? before.lastTransitionTime : new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
    const base = { type, status, reason, message, lastTransitionTime };
    return generation === undefined ? base : { ...base, observedGeneration: generation };
  });
}
