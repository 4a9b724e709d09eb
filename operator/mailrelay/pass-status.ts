/** status of a relay from what one pass saw and did. */
import type { MailRelayStatus } from '../../crds/mail-relay.ts';
import type { KubeObject } from '../kube/object.ts';
import { notAfterMs } from './certificate.ts';
import type { Desired } from './desired/desired.ts';
import { serviceAddress } from './desired/names.ts';
import type { Workload } from './existing.ts';
import type { Observed } from './observe.ts';
import { mailRelayStatus, type RelayObservation } from './status.ts';
import type { WorkloadObservation } from './workload-status.ts';

export interface PassOutcome {
  readonly observed: Observed;
  readonly desired: Desired;
  readonly appliedRevision: string | undefined;
  /** As the pass left it. */
  readonly workload: KubeObject | undefined;
  readonly taken: readonly string[];
  readonly refusedClaims: readonly string[];
  /** Where it is from an authority of the relay's own. */
  readonly ownCertificatePem: string | undefined;
  readonly nowMs: number;
}

export function statusOf(outcome: PassOutcome): MailRelayStatus {
  const { observed, desired, appliedRevision, taken, nowMs } = outcome;
  const { relay } = observed.input;
  const { configuration } = desired;
  const address = serviceAddress(relay);
  return mailRelayStatus({
    relay,
    notSupported: undefined,
    secretProblems: observed.secretProblems,
    certificate: certificateOf(outcome),
    listeners: relay.spec.listeners.map(({ name, port }) => ({ name, address, port })),
    address,
    attachedPolicies: observed.attachedPolicies,
    configurationRevision: configuration.kind === 'Made' ? configuration.revision : undefined,
    appliedRevision,
    cluster: {
      workload: workloadObservation(outcome),
      taken,
      tooLarge: tooLarge(configuration),
      certificateProblem: observed.certificateProblem,
    },
    previous: relay.status,
    stamp: { nowMs, generation: relay.metadata.generation },
  });
}

const mostNamed = 10;

function tooLarge(configuration: Desired['configuration']): string | undefined {
  if (configuration.kind === 'TooLarge') return configuration.message;
  if (configuration.kind !== 'Made' || configuration.leftOut.length === 0) return undefined;
  const { leftOut } = configuration;
  const more = leftOut.length > mostNamed ? ` and ${leftOut.length - mostNamed} more` : '';
  return `policies were left out, because all together do not fit: ${leftOut.slice(0, mostNamed).join(', ')}${more}; spread them over several MailRelays`;
}

const ends = new Map<string, number>();
const mostEnds = 10_000;

/** Parsing a certificate costs more than all the rest of a status. */
function endOf(pem: string): number {
  const known = ends.get(pem);
  if (known !== undefined) return known;
  if (ends.size >= mostEnds) ends.clear();
  const end = notAfterMs(pem);
  ends.set(pem, end);
  return end;
}

function certificateOf({ observed, ownCertificatePem }: PassOutcome): RelayObservation['certificate'] {
  const { certificate } = observed.input;
  return certificate && { notAfterMs: endOf(certificate.certificate), ownPem: ownCertificatePem };
}

function workloadObservation({ observed, desired, workload, refusedClaims }: PassOutcome): WorkloadObservation {
  const { spec, status = {}, metadata } = (workload ?? {}) as Partial<Workload>;
  const { existing, drainOver } = observed.input;
  const { replicas = 0, readyReplicas = 0, updatedReplicas = 0, observedGeneration } = status;
  return {
    replicas,
    readyReplicas,
    updatedReplicas,
    isCurrent: observedGeneration !== undefined && observedGeneration === metadata?.generation,
    wanted: desired.scale.replicas ?? spec?.replicas ?? 0,
    scale: desired.scale,
    isDrainOver: drainOver,
    pods: existing.pods,
    refusedClaims,
  };
}
