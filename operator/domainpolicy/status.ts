/** status of a DomainPolicy from what was observed: a pure function. */
import type { DkimKeyStatus, DnsRecordStatus, DomainPolicy, DomainPolicyStatus } from '../../crds/domain-policy.ts';
import { conditionsOf, fails, holds, type Stamp, summary, unknown, type Verdict } from '../conditions.ts';
import type { SecretProblem } from '../credentials.ts';

export interface PolicyObservation {
  readonly policy: DomainPolicy;
  /** Of type Accepted. */
  readonly admission: Verdict;
  readonly secretProblems: readonly SecretProblem[];
  readonly keys: readonly DkimKeyStatus[];
  readonly records: readonly DnsRecordStatus[];
  /** Revision that holds this policy, and what every ready relay runs. */
  readonly configurationRevision: string | undefined;
  readonly appliedRevision: string | undefined;
  readonly previous: DomainPolicyStatus | undefined;
  readonly stamp: Stamp;
}

export function domainPolicyStatus(observed: PolicyObservation): DomainPolicyStatus {
  const { admission, keys, records, stamp } = observed;
  const verdicts = [
    admission,
    resolvedRefs(observed),
    dkimReady(observed),
    dnsPublished(observed),
    programmed(observed),
  ];
  return {
    ...(stamp.generation !== undefined && { observedGeneration: stamp.generation }),
    dkim: { keys },
    dnsRecords: records,
    conditions: conditionsOf(
      [summary(verdicts, ['DNSPublished']), ...verdicts],
      observed.previous?.conditions ?? [],
      stamp,
    ),
  };
}

function resolvedRefs({ secretProblems }: PolicyObservation): Verdict {
  const [first] = secretProblems;
  return first === undefined
    ? holds('ResolvedRefs', 'ResolvedRefs', 'every Secret that is referred to is there')
    : fails('ResolvedRefs', first.reason, secretProblems.map(({ message }) => message).join('; '));
}

function dkimReady({ policy, keys }: PolicyObservation): Verdict {
  if (policy.spec.dkim.type === 'Disabled')
    return holds('DKIMReady', 'SigningDisabled', 'spec.dkim asks for no signatures');
  const active = keys.filter(({ state }) => state === 'Active');
  if (active.length === 0) return fails('DKIMReady', 'KeysUnavailable', 'there is no key to sign with');
  const named = active.map(({ selector, algorithm }) => `${selector} (${algorithm})`);
  return holds('DKIMReady', 'KeysActive', `mail is signed with ${named.join(' and ')}`);
}

function dnsPublished({ records }: PolicyObservation): Verdict {
  return unknown('DNSPublished', 'RecordsNotChecked', `${records.length} records are needed, and none was looked up`);
}

function programmed({ admission, configurationRevision, appliedRevision }: PolicyObservation): Verdict {
  if (admission.status !== 'True' || configurationRevision === undefined)
    return fails('Programmed', 'ConfigurationRejected', 'the relay does not run this policy; other conditions say why');
  return configurationRevision === appliedRevision
    ? holds('Programmed', 'ConfigurationApplied', `revision ${configurationRevision} is running`)
    : unknown('Programmed', 'ConfigurationPending', `revision ${configurationRevision} is not running yet`);
}
