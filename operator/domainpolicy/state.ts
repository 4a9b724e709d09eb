/** What a relay needs to know of a policy that names it. */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { Verdict } from '../conditions.ts';
import type { SecretData, SecretProblem } from '../credentials.ts';
import type { LoadedKey } from './dkim-key.ts';

export interface PolicyState {
  readonly policy: DomainPolicy;
  /** Of type Accepted; True: attached. */
  readonly admission: Verdict;
  readonly secretProblems: readonly SecretProblem[];
  /** Secrets that it refers to and that are as they should be, by `namespace/name`. */
  readonly secrets: ReadonlyMap<string, SecretData>;
  /** Those that the pods load now. None where the Secret that keeps them is broken, which is one of the problems then. */
  readonly keys: readonly LoadedKey[];
  readonly areKeysBroken: boolean;
}
