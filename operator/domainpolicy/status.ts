/** status of a DomainPolicy from what was observed: a pure function. */
import type { DnsRecordStatus, DomainPolicy, DomainPolicyStatus } from '../../crds/domain-policy.ts';
import {
  type ConditionType,
  conditionsOf,
  fails,
  holds,
  type Stamp,
  summary,
  unknown,
  type Verdict,
} from '../conditions.ts';
import type { SecretProblem } from '../credentials.ts';
import { publishDnsLabel } from '../labels.ts';
import { dkimReady, type KeyStanding, keyStatusOf, neededNow } from './dkim-status.ts';
import { zoneLine } from './dns-record.ts';
import type { CheckedRecord } from './record-check.ts';

/** What the relay makes of the policy. AsBefore: nobody has looked since this process leads. */
export type Programme = 'Applied' | 'Pending' | 'Rejected' | 'AsBefore';

export type PublishProblem = 'KindNotFound' | 'NotAllowed' | 'Forbidden' | 'NameTaken';

export interface PolicyObservation {
  readonly policy: DomainPolicy;
  /** Of type Accepted. */
  readonly admission: Verdict;
  readonly secretProblems: readonly SecretProblem[];
  readonly keys: readonly KeyStanding[];
  readonly records: readonly CheckedRecord[];
  /** Whether records are looked up at all. */
  readonly isChecking: boolean;
  /** Each of them was, since this process leads. */
  readonly isLookedAt: boolean;
  /** Publishing is left to external-dns, and something of this cluster is in the way. */
  readonly publishProblem: PublishProblem | undefined;
  /** The Secret of somebody else where the keys should be kept, as `namespace/name`. */
  readonly taken?: string;
  readonly programme: Programme;
  readonly previous: DomainPolicyStatus | undefined;
  readonly stamp: Stamp;
}

export function domainPolicyStatus(observed: PolicyObservation): DomainPolicyStatus {
  const { admission, keys, stamp } = observed;
  const dns = dnsAsBefore(observed) ?? dnsNow(observed);
  const [refs, programme] = [resolvedRefs(observed), programmed(observed)];
  const verdicts = [admission, refs, dns.dkimReady, dns.verdict, programme];
  // A successor that waits for its record is told of in DNSPublished, and is no fault while mail is signed without it.
  const needed = [admission, refs, dns.dkimReady, dns.needed, programme];
  return {
    ...(stamp.generation !== undefined && { observedGeneration: stamp.generation }),
    // A list by key that an apply empties goes with what holds it: an empty one would be written again by each new leader.
    ...(keys.length > 0 && { dkim: { keys: keys.map(keyStatusOf) } }),
    dnsRecords: dns.dnsRecords,
    conditions: conditionsOf(
      [summary(needed, ['DNSPublished']), ...verdicts],
      observed.previous?.conditions ?? [],
      stamp,
    ),
  };
}

const mostFaults = 4;
const longestMessage = 4096;

/** Of a policy, together: what is there is up to whoever has the name servers, and every status is kept in memory. */
const mostObserved = 32_768;

function withinObserved(records: readonly CheckedRecord[]): DnsRecordStatus[] {
  let left = mostObserved;
  return records.map(({ fault: _, place: __, observed, ...record }) => {
    if (observed === undefined || observed.length > left) return record;
    left -= observed.length;
    return { ...record, observed };
  });
}

const everyType: readonly ConditionType[] = [
  'Ready',
  'Accepted',
  'ResolvedRefs',
  'DKIMReady',
  'DNSPublished',
  'Programmed',
];

/** Before anything was looked at: whoever waits for a condition finds it from the start. */
export function firstPolicyStatus(stamp: Stamp): DomainPolicyStatus {
  const verdicts = everyType.map(type => unknown(type, 'Pending', 'not looked at yet'));
  return { conditions: conditionsOf(verdicts, [], stamp) };
}

type BrokenObservation = Pick<PolicyObservation, 'policy' | 'admission' | 'secretProblems' | 'stamp'>;

/** The Secret of its keys is broken: what was told of keys and their records stands, so that nobody takes the records of keys away that sign. */
export function brokenKeysStatus({ policy, admission, secretProblems, stamp }: BrokenObservation): DomainPolicyStatus {
  const { conditions = [], observedGeneration: _, ...before } = policy.status ?? {};
  const refs = resolvedRefs({ secretProblems });
  const asBefore = (type: ConditionType): Verdict =>
    verdictBefore({ previous: policy.status }, type) ?? unknown(type, 'Pending', 'not looked at yet');
  const dkim = unknown(
    'DKIMReady',
    'SecretInvalid',
    'which keys there are cannot be read; pods sign with those they have',
  );
  const verdicts = [admission, refs, dkim, asBefore('DNSPublished'), asBefore('Programmed')];
  return {
    ...before,
    ...(stamp.generation !== undefined && { observedGeneration: stamp.generation }),
    conditions: conditionsOf([summary(verdicts, ['DNSPublished']), ...verdicts], conditions, stamp),
  };
}

interface DnsPart {
  readonly dnsRecords: NonNullable<DomainPolicyStatus['dnsRecords']>;
  readonly dkimReady: Verdict;
  readonly verdict: Verdict;
  /** Of the records alone that mail needs now. */
  readonly needed: Verdict;
}

function dnsNow(observed: PolicyObservation): DnsPart {
  return {
    dnsRecords: withinObserved(observed.records),
    dkimReady: dkimReady(observed),
    verdict: dnsPublished(observed),
    needed: dnsPublished({ ...observed, records: neededNow(observed) }),
  };
}

/** What the process before this one saw stands until this one has looked. Undefined: it has, or these are other records. */
function dnsAsBefore(observed: PolicyObservation): DnsPart | undefined {
  const { isChecking, isLookedAt, records, previous, stamp } = observed;
  const { observedGeneration, dnsRecords } = previous ?? {};
  const verdict = verdictBefore(observed, 'DNSPublished');
  if (!isChecking || isLookedAt || observedGeneration !== stamp.generation) return undefined;
  if (dnsRecords === undefined || verdict === undefined) return undefined;
  const names = (all: readonly Pick<CheckedRecord, 'name' | 'purpose'>[]): string =>
    JSON.stringify(all.map(({ name, purpose }) => [name, purpose]));
  if (names(dnsRecords) !== names(records)) return undefined;
  const [dkim, dkimBefore] = [dkimReady(observed), verdictBefore(observed, 'DKIMReady')];
  const isReady = verdictBefore(observed, 'Ready')?.status === 'True';
  return {
    dnsRecords,
    verdict,
    // It may name a server that is silent.
    dkimReady: dkimBefore?.reason === dkim.reason ? dkimBefore : dkim,
    needed: isReady ? holds('DNSPublished', 'RecordsPublished', '') : verdict,
  };
}

function verdictBefore({ previous }: Pick<PolicyObservation, 'previous'>, wanted: ConditionType): Verdict | undefined {
  const before = previous?.conditions?.find(({ type }) => type === wanted);
  return before && ({ type: wanted, status: before.status, reason: before.reason, message: before.message } as Verdict);
}

function resolvedRefs({ secretProblems }: Pick<PolicyObservation, 'secretProblems'>): Verdict {
  const [first] = secretProblems;
  return first === undefined
    ? holds('ResolvedRefs', 'ResolvedRefs', 'every Secret that is referred to is there')
    : fails('ResolvedRefs', first.reason, secretProblems.map(({ message }) => message).join('; '));
}

function dnsPublished(observed: PolicyObservation): Verdict {
  const verdict = recordsVerdict(observed);
  const { publishProblem, policy } = observed;
  if (publishProblem === undefined || verdict.status === 'True') return verdict;
  const { name, namespace } = policy.metadata;
  const [reason, why] = (
    {
      KindNotFound: ['ExternalDNSNotFound', 'this cluster has no DNSEndpoint of external-dns'],
      NotAllowed: [
        'ExternalDNSNotFound',
        `namespace ${namespace} may not have records published: its label ${publishDnsLabel} must be Allowed`,
      ],
      Forbidden: ['ExternalDNSNotFound', `this operator may not write a DNSEndpoint in namespace ${namespace}`],
      NameTaken: ['NameTaken', `DNSEndpoint ${namespace}/${name}-dns was not made by this policy, and is left alone`],
    } as const
  )[publishProblem];
  const message = `${why}, so that nobody publishes the records: ${verdict.message}`;
  return fails('DNSPublished', reason, message.slice(0, longestMessage));
}

function recordsVerdict({ records, isChecking }: PolicyObservation): Verdict {
  if (!isChecking)
    return unknown('DNSPublished', 'RecordsNotChecked', `${records.length} records are needed, and none was looked up`);
  const of = (state: CheckedRecord['state']): CheckedRecord[] => records.filter(record => record.state === state);
  const wrong = [...of('Missing'), ...of('Mismatch')];
  if (wrong.length > 0) {
    const reason = of('Missing').length > 0 ? 'RecordsMissing' : 'RecordsMismatch';
    return fails(
      'DNSPublished',
      reason,
      told(wrong, record => `${record.fault}: publish ${zoneLine({ ...record, type: 'TXT' })}`),
    );
  }
  const unusable = of('Published').filter(({ fault }) => fault !== undefined);
  if (unusable.length > 0)
    return fails(
      'DNSPublished',
      'SPFUnusable',
      told(unusable, ({ fault }) => fault ?? ''),
    );
  const open = of('Unknown');
  if (open.length > 0)
    return unknown(
      'DNSPublished',
      'RecordsUnknown',
      told(open, ({ name, fault }) => fault ?? `${name} is being looked up`),
    );
  return holds('DNSPublished', 'RecordsPublished', `${records.length} records are there`);
}

function told(records: readonly CheckedRecord[], line: (record: CheckedRecord) => string): string {
  const lines = records.slice(0, mostFaults).map(line);
  const more = records.length - lines.length;
  return [...lines, ...(more === 0 ? [] : [`and ${more} more, see status.dnsRecords`])]
    .join('; ')
    .slice(0, longestMessage);
}

/** It names no revision: the relay has one for all its policies, and a change of one must not rewrite the others. */
function programmed({ admission, programme, previous }: PolicyObservation): Verdict {
  if (admission.status !== 'True' || programme === 'Rejected')
    return fails('Programmed', 'ConfigurationRejected', 'the relay does not run this policy; other conditions say why');
  if (programme === 'Applied')
    return holds('Programmed', 'ConfigurationApplied', 'every ready relay pod runs this policy');
  const before = previous?.conditions?.find(({ type }) => type === 'Programmed');
  return programme === 'AsBefore' && before?.status === 'True'
    ? holds('Programmed', 'ConfigurationApplied', before.message)
    : unknown('Programmed', 'ConfigurationPending', 'not every relay pod runs this policy as it is now');
}
