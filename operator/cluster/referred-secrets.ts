/** The Secrets of users that an object refers to, as they are now, and what is wrong with them. */
import { type SecretData, type SecretNeed, type SecretProblem, secretProblem } from '../credentials.ts';
import type { Cluster } from './cluster.ts';

export interface ReferredSecrets {
  /** Those that are as they should be, by `namespace/name`. */
  readonly secrets: ReadonlyMap<string, SecretData>;
  readonly problems: readonly SecretProblem[];
}

/** @throws ApiError, ConnectionError when a Secret cannot be read */
export async function readReferred(
  needs: readonly SecretNeed[],
  cluster: Pick<Cluster, 'readSecret'>,
  signal: AbortSignal,
): Promise<ReferredSecrets> {
  const secrets = new Map<string, SecretData>();
  const problems: SecretProblem[] = [];
  for (const needed of needs) {
    const data = await cluster.readSecret(needed.namespace, needed.name, signal);
    const problem = problemOf(needed, data);
    if (problem !== undefined) problems.push(problem);
    else if (typeof data !== 'string') secrets.set(`${needed.namespace}/${needed.name}`, data);
  }
  return { secrets, problems };
}

/** Certificates, keys and hashes are looked into once for each content. */
const judged = new WeakMap<SecretData, Map<string, SecretProblem | undefined>>();

export function problemOf(needed: SecretNeed, data: SecretData | 'Missing' | 'Forbidden'): SecretProblem | undefined {
  if (typeof data === 'string') return secretProblem(needed, data);
  const verdicts = judged.get(data) ?? new Map<string, SecretProblem | undefined>();
  judged.set(data, verdicts);
  const question = `${needed.use} ${needed.path}`;
  if (!verdicts.has(question)) verdicts.set(question, secretProblem(needed, data));
  return verdicts.get(question);
}
