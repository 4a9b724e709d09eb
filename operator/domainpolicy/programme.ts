/** Whether the pods of its relay run a policy as it is now, with the keys that sign for it by now. Pure. */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { PolicyPart, RelayState, SigningKey } from '../cluster/relay-states.ts';
import { nameOf } from './attach.ts';
import type { Programme } from './status.ts';

export interface ProgrammeQuestion {
  readonly policy: DomainPolicy;
  /** Undefined: not looked at yet. */
  readonly state: RelayState | undefined;
  /** Those that the pods should load; a rotation may have got further in this very pass. */
  readonly keys: readonly SigningKey[];
}

export function programmeOf({ policy, state, keys }: ProgrammeQuestion): Programme {
  const [rendered, running] = [state?.rendered.get(nameOf(policy)), state?.running?.get(nameOf(policy))];
  // What runs may be the same as before this generation: only once the relay has looked at it is that known.
  if (rendered !== undefined && !isOfNow(rendered, policy, keys)) return 'Pending';
  if (state?.running === undefined) return isNewGeneration(policy) ? 'Pending' : 'AsBefore';
  return rendered !== undefined && rendered.digest === running?.digest ? 'Applied' : 'Pending';
}

function isOfNow({ generation, signing }: PolicyPart, policy: DomainPolicy, keys: readonly SigningKey[]): boolean {
  return generation === policy.metadata.generation && said(signing) === said(keys);
}

function said(keys: readonly SigningKey[]): string {
  const signing = keys.filter(({ signsFor }) => signsFor?.length !== 0);
  return JSON.stringify(signing.map(({ selector, signsFor = ['*'] }) => [selector, ...signsFor]).sort());
}

function isNewGeneration({ status, metadata: { generation } }: DomainPolicy): boolean {
  return status?.observedGeneration !== undefined && status.observedGeneration !== generation;
}
