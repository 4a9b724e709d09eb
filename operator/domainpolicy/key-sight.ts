/** What is seen of a key: of its records in DNS, and at the pods of its relay. */
import type { PolicyPart, RelayState } from '../cluster/relay-states.ts';
import { type DnsRecord, keyRecord } from './dns-record.ts';
import { type RingKey, stateAt } from './key-ring.ts';
import { freshLookMs, type Seen } from './record-watch.ts';
import type { KeySight } from './rotation.ts';

export interface SightInput {
  /** `namespace/name`. */
  readonly policyKey: string;
  readonly seen: (record: DnsRecord) => Seen | undefined;
  readonly relayState: RelayState | undefined;
  readonly nowMs: number;
}

export function sightOf(key: RingKey, { policyKey, seen, relayState, nowMs }: SightInput): KeySight {
  const rendered = relayState?.rendered.get(policyKey);
  const running = relayState?.running?.get(policyKey);
  const isLoaded = (part: PolicyPart | undefined): boolean => part?.loaded.includes(key.selector) === true;
  const signs = (part: PolicyPart | undefined): boolean =>
    part?.signing.some(({ selector }) => selector === key.selector) === true;
  return {
    record: domain => verdictOf(seen(keyRecord(key, domain)), nowMs),
    loaded: isLoaded(running) && isLoaded(rendered),
    signing: relayState?.running === undefined ? undefined : signs(running) || signs(rendered),
  };
}

function verdictOf(seen: Seen | undefined, nowMs: number): ReturnType<KeySight['record']> {
  if (seen?.definite?.isThere === false) return 'No';
  const isFresh = nowMs - (seen?.definite?.timeMs ?? 0) < freshLookMs;
  return seen?.record.state === 'Published' && isFresh ? 'Yes' : 'Unknown';
}

/** Nobody is to publish the record of a revoked key again, once its owner took it away. */
export function isAskedFor(record: DnsRecord, ring: readonly RingKey[], domains: readonly string[]): boolean {
  return !ring.some(
    key =>
      key.isRevoked &&
      domains.some(domain => stateAt(key, domain) === 'Awaited' && keyRecord(key, domain).name === record.name),
  );
}
