/** What is said of the keys of a policy: whose mail is signed, and what the rest waits for. Pure. */
import type { DkimKeyStatus, DomainPolicy } from '../../crds/domain-policy.ts';
import { fails, holds, type Verdict } from '../conditions.ts';
import { baseDomains } from './base-domains.ts';
import { keyRecord } from './dns-record.ts';
import { domainsIn, type RingKey } from './key-ring.ts';
import { signsFrom } from './key-wait.ts';
import { listed } from './listed.ts';
import type { CheckedRecord } from './record-check.ts';

export interface KeyStanding extends DkimKeyStatus {
  /** Domains at which its record was not seen and is asked for. */
  readonly awaitedAt?: readonly string[];
  /** Domains at which its record is seen, and for whose mail it may come to sign. */
  readonly seenAt?: readonly string[];
  /** When it signs at the last of those where it is awaited, without anybody's having looked; undefined: it is looked for. */
  readonly signsFrom?: string | undefined;
}

export function standingOf(key: RingKey, policy: DomainPolicy): KeyStanding {
  const { selector, algorithm, state, createdMs, isRevoked } = key;
  return {
    ...{ selector, algorithm, state, createdTime: new Date(createdMs).toISOString() },
    ...(state === 'Active' && { signsFor: domainsIn(key, 'Signs') }),
    ...(!isRevoked && {
      awaitedAt: domainsIn(key, 'Awaited'),
      seenAt: domainsIn(key, 'Seen'),
      signsFrom: unseenFrom(key, policy),
    }),
  };
}

function unseenFrom({ places }: RingKey, policy: DomainPolicy): string | undefined {
  const asked = places.filter(({ state }) => state === 'Awaited').map(({ askedMs }) => askedMs);
  return asked.length === 0 ? undefined : signsFrom(policy, Math.max(...asked));
}

export function keyStatusOf({ awaitedAt: _, seenAt: __, signsFrom: ___, ...status }: KeyStanding): DkimKeyStatus {
  return status;
}

interface DkimObservation {
  readonly policy: DomainPolicy;
  readonly keys: readonly KeyStanding[];
  readonly records: readonly CheckedRecord[];
  /** The Secret of somebody else where the keys should be kept, as `namespace/name`. */
  readonly taken?: string;
}

/** True: mail of each domain is signed, with one key at least. What else is under way is named. */
export function dkimReady({ policy, keys, records, taken }: DkimObservation): Verdict {
  if (policy.spec.dkim.type === 'Disabled')
    return holds('DKIMReady', 'SigningDisabled', 'spec.dkim asks for no signatures');
  const domains = baseDomains(policy);
  const unsigned = domains.filter(domain => !keys.some(key => signs(key, domain)));
  const obstacle = `Secret ${taken} was not made for the keys of this policy, and is left alone: none can be kept there`;
  const waits = [...(taken === undefined ? [] : [obstacle]), ...waitsOf(keys, unsigned, records)].join('; ');
  if (unsigned.length === 0) {
    const active = named(keys.filter(({ state }) => state === 'Active'));
    return holds('DKIMReady', 'KeysActive', bounded(`mail is signed with ${active}${waits && `; ${waits}`}`));
  }
  const whose = unsigned.length === domains.length ? 'mail' : `mail of ${listed(unsigned)}`;
  if (taken !== undefined) return fails('DKIMReady', 'NameTaken', bounded(`${whose} is not signed: ${waits}`));
  return waits === ''
    ? fails('DKIMReady', 'KeysUnavailable', 'there is no key to sign with')
    : fails('DKIMReady', 'KeysPending', bounded(`${whose} is not signed: ${waits}`));
}

/** Without the records of keys that have one of their kind sign in their place. */
export function neededNow({ policy, records, keys }: DkimObservation): CheckedRecord[] {
  const spare = new Set(
    keys.flatMap(key =>
      baseDomains(policy)
        .filter(domain => !signs(key, domain))
        .filter(domain => keys.some(other => other.algorithm === key.algorithm && signs(other, domain)))
        .map(domain => nameOf(key, domain)),
    ),
  );
  return records.filter(({ purpose, name }) => purpose !== 'DKIM' || !spare.has(name));
}

function waitsOf(
  keys: readonly KeyStanding[],
  unsigned: readonly string[],
  records: DkimObservation['records'],
): string[] {
  const coming = keys.filter(({ state }) => state !== 'Retiring');
  const awaited = Map.groupBy(
    coming.filter(({ awaitedAt = [] }) => awaitedAt.length > 0),
    ({ awaitedAt = [], signsFrom: from }) => JSON.stringify([listed(awaitedAt), from]),
  );
  const seen = coming.filter(
    ({ state, seenAt = [] }) =>
      (state === 'Published' && seenAt.length > 0) || seenAt.some(domain => unsigned.includes(domain)),
  );
  return [
    ...[...awaited.values()].map(those => awaitedText(those, records)),
    ...(seen.length === 0 ? [] : [`${named(seen)} is about to sign: its record is there, and the pods load it`]),
  ];
}

/** Of keys that wait at the same domains until the same time. */
function awaitedText(keys: readonly KeyStanding[], records: readonly CheckedRecord[]): string {
  const [{ awaitedAt = [], signsFrom: from } = {}] = keys;
  const where = listed(awaitedAt);
  if (from === undefined) return `the record of ${named(keys)} at ${where} is awaited${silenceOf(keys, records)}`;
  return `${named(keys)} waits until ${from} and then signs for ${where}, since nobody looks for its record (spec.dns.checks is Disabled)`;
}

/** Why nothing is known of the records of keys that wait: which server is silent. */
function silenceOf(keys: readonly KeyStanding[], records: readonly CheckedRecord[]): string {
  const names = new Set(keys.flatMap(key => (key.awaitedAt ?? []).map(domain => nameOf(key, domain))));
  const faults = records
    .filter(({ state, purpose, name }) => state === 'Unknown' && purpose === 'DKIM' && names.has(name))
    .flatMap(({ fault }) => fault ?? []);
  return faults.length === 0 ? '' : ` (${faults.slice(0, mostFaults).join('; ')})`;
}

const mostFaults = 4;
const longestMessage = 4096;

function bounded(message: string): string {
  return message.slice(0, longestMessage);
}

function signs({ signsFor }: KeyStanding, domain: string): boolean {
  return signsFor?.includes(domain) === true;
}

function nameOf({ selector }: KeyStanding, domain: string): string {
  return keyRecord({ selector, recordValue: '' }, domain).name;
}

function named(keys: readonly KeyStanding[]): string {
  return keys.map(({ selector, algorithm }) => `${selector} (${algorithm})`).join(' and ');
}
